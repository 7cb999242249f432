"""The compose stack for real. Only with a Docker engine, and when asked for:

    OFFRAMP_TEST_DOCKER=1 make test PYTEST_ARGS=tests/e2e/test_compose_live.py WORKERS=0

It builds the images, and needs ports 50051, 9464 and 9090 of this machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from offramp.client import Client, Override
from tests.support.compose import Stack, engine_answers, query

ASKED_FOR = os.environ.get("OFFRAMP_TEST_DOCKER") == "1"
TEXTS = ("a gorgeous, witty film", "dull and lifeless", "not without its charms", "i fell asleep")


def eventually(holds: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether a condition comes true in time."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


if ASKED_FOR and engine_answers():
    pytestmark = pytest.mark.timeout(1800)

    @pytest.fixture(scope="module")
    def stack(tmp_path_factory):
        running = Stack(tmp_path_factory.mktemp("stack"))
        try:
            running.compose("up", "--build", "--detach")
            yield running
        finally:
            running.compose("down", "--volumes", "--timeout", "15")

    @pytest.fixture
    def client(stack):
        with Client("127.0.0.1:50051") as client:
            yield client

    def test_texts_are_classified_through_three_containers(client):
        answer = client.classify(TEXTS[0], override=Override(full_depth=True))
        assert answer.exit.startswith("large@")
        assert client.classify(TEXTS[0], override=Override(last_exit="small")).exit == "small"

    @pytest.mark.parametrize("service", ["router", "small", "large"])
    def test_no_image_holds_torch(stack, service):
        program = "import importlib.util as u; print(u.find_spec('torch'))"
        assert stack.compose("exec", "-T", service, "python", "-c", program).strip() == "None"

    def test_no_container_runs_as_root(stack):
        for service in ("small", "large", "router"):
            assert stack.compose("exec", "-T", service, "id", "-u").strip() == "10001"

    def test_an_edit_of_the_mounted_file_is_in_force_without_a_restart(stack, client):
        before = client.classify(TEXTS[0]).policy_version
        stack.edit_policy("objective: {expected_loss: 0}", "objective: {threshold: 1}")
        assert eventually(lambda: client.classify(TEXTS[0]).policy_version > before)
        assert client.classify(TEXTS[0]).escalated
        stack.edit_policy("objective: {threshold: 1}", "objective: {expected_loss: 0}")
        assert eventually(lambda: client.classify(TEXTS[0]).policy_version > before + 1)

    def test_a_broken_edit_changes_nothing(stack, client):
        before = client.classify(TEXTS[0]).policy_version
        stack.edit_policy("objective: {expected_loss: 0}", "objective: {speedup: -5}")
        try:
            failed = "offramp_config_last_reload_successful == 0"
            assert eventually(lambda: "router:9464" in query(failed))
            assert client.classify(TEXTS[0]).policy_version == before
        finally:
            stack.edit_policy("objective: {speedup: -5}", "objective: {expected_loss: 0}")

    def test_prometheus_scrapes_every_process(stack):
        everyone = {"router:9464": 1.0, "small:9465": 1.0, "large:9466": 1.0}
        assert eventually(lambda: query("up") == everyone)

    def test_what_prometheus_scraped_is_what_the_responses_said(stack, client):
        names = (
            "offramp_baseline_flops_total",
            "offramp_cost_flops_total",
            "offramp_escalations_total",
        )
        counted = "sum(offramp_requests_total)"
        time.sleep(6)  # a scrape, so that nothing of before is left to be booked
        before = [query(f"sum({name})")[""] for name in names]
        requests = query(counted)[""]
        answers = [client.classify(text) for text in TEXTS * 5]
        assert eventually(lambda: query(counted)[""] == requests + len(answers))
        after = [query(f"sum({name})")[""] for name in names]
        baseline, cost, escalated = (b - a for a, b in zip(before, after, strict=True))
        told = sum(a.cost.baseline_flops for a in answers) / sum(a.cost.flops for a in answers)
        assert baseline / cost == pytest.approx(told, rel=1e-9)
        assert escalated / len(answers) == sum(a.escalated for a in answers) / len(answers)

    def test_a_killed_tier_is_restarted_and_texts_are_answered_meanwhile(stack, client):
        restarts = int(stack.inspect("large", ".RestartCount"))
        sure = Override(min_confidence=0.999999)
        os.kill(int(stack.inspect("large", ".State.Pid")), 9)
        assert eventually(lambda: client.classify(TEXTS[0], override=sure).outcome == "degraded")
        assert eventually(lambda: client.classify(TEXTS[0], override=sure).outcome != "degraded")
        assert int(stack.inspect("large", ".RestartCount")) == restarts + 1

    def test_the_rules_pass_their_own_tests(stack):
        test = ("promtool", "test", "rules", "/etc/prometheus/rules.test.yml")
        assert "SUCCESS" in stack.compose("exec", "-T", "prometheus", *test)

    def test_a_stop_drains_and_ends_with_code_0(stack):
        stack.compose("stop")
        for service in ("router", "small", "large"):
            assert stack.inspect(service, ".State.ExitCode") == "0"
