"""Metrics equal what the responses say, and clients cannot make up label values."""

from __future__ import annotations

from collections import Counter

import grpc
import pytest
from prometheus_client import generate_latest

import offramp
from offramp.v1 import common_pb2, router_pb2

pytestmark = pytest.mark.usefixtures("certainties")


async def test_counters_and_gauges_equal_those_computed_from_the_responses(stack):
    texts = ["easy"] * 5 + ["middling"] * 3 + ["hard"] * 2
    async with stack.serving():
        answers = [await stack.classify(text) for text in texts]

        def of_route(name: str) -> float:
            return stack.metric(f"offramp_{name}", route="sentiment")

        outcomes = {1: "confident", 2: "last_exit"}
        for (exit_name, outcome), count in Counter((a.exit, a.outcome) for a in answers).items():
            labels = {"route": "sentiment", "exit": exit_name, "outcome": outcomes[outcome]}
            assert stack.metric("offramp_requests_total", **labels) == count
        flops = sum(a.cost.flops for a in answers)
        baseline = sum(a.cost.baseline_flops for a in answers)
        assert of_route("cost_flops_total") == pytest.approx(flops)
        assert of_route("baseline_flops_total") == pytest.approx(baseline)
        assert of_route("cost_seconds_total") == pytest.approx(sum(a.cost.seconds for a in answers))
        assert of_route("baseline_seconds_total") == pytest.approx(
            sum(a.cost.baseline_seconds for a in answers)
        )
        assert of_route("escalations_total") == sum(a.escalated for a in answers) == 5
        assert of_route("speedup_ratio") == pytest.approx(baseline / flops)
        assert of_route("escalation_ratio") == 0.5
        at_small = {"route": "sentiment", "exit": "small"}
        assert stack.metric("offramp_confidence_count", **at_small) == 5
        assert stack.metric("offramp_confidence_sum", **at_small) == pytest.approx(5 * 0.97)
        assert stack.metric("offramp_latency_seconds_count", **at_small) == 5
        assert stack.metric("offramp_tier_latency_seconds_count", tier="large") == 5


async def test_errors_are_counted_by_code_and_known_route(stack):
    async with stack.serving():
        for route in ("", "sentiment", "weather", "(unknown)"):
            request = router_pb2.ClassifyRequest(route=route, input={"text": ""})
            with pytest.raises(grpc.aio.AioRpcError):
                await stack.stub.Classify(request)
        invalid = {"route": "sentiment", "code": "INVALID_ARGUMENT"}
        missing = {"route": "(unknown)", "code": "NOT_FOUND"}
        assert stack.metric("offramp_request_errors_total", **invalid) == 2
        assert stack.metric("offramp_request_errors_total", **missing) == 2
        text = generate(stack)
    assert "weather" not in text


def generate(stack) -> str:
    return generate_latest(stack.router.registry).decode()


async def test_the_state_in_force_is_shown(stack, eventually):
    async with stack.serving(policy={"objective": {"speedup": 4}}):
        assert stack.metric("offramp_policy_target_cost", route="sentiment") == 0.25
        solution = stack.router.policies["sentiment"].solution
        expected = solution.forecast.mean_cost
        assert 0 < expected <= 0.25
        assert stack.metric("offramp_policy_expected_cost", route="sentiment") == expected
        shown = [
            stack.metric("offramp_threshold", route="sentiment", exit=name)
            for name in ("small", "large@1", "large@2", "large@3")
        ]
        assert shown == list(solution.thresholds)
        assert stack.metric("offramp_policy_version", route="sentiment") == 1
        assert stack.metric("offramp_tier_up", tier="large") == 1
        assert stack.metric("offramp_config_last_reload_successful") == 1
        assert stack.metric("offramp_config_last_reload_timestamp_seconds") > 1.7e9
        before = stack.router.reloader.status.hash
        assert stack.metric("offramp_config_info", hash=before) == 1
        stack.write(policy={"objective": {"threshold": 0.9}})
        await eventually(lambda: stack.metric("offramp_config_info", hash=before) is None)
        assert stack.metric("offramp_policy_target_cost", route="sentiment") is None
        changed = stack.router.policies["sentiment"].solution.forecast.mean_cost
        assert changed != expected
        assert stack.metric("offramp_policy_expected_cost", route="sentiment") == changed
        await stack.large.stop()
        await eventually(lambda: stack.metric("offramp_tier_up", tier="large") == 0)
        assert 'offramp_build_info{python="3.' in generate(stack)
        assert f'version="{offramp.__version__}"' in generate(stack)


async def test_rows_in_flight_are_counted_per_tier(stack, eventually):
    stack.large.silent = {"hard"}
    async with stack.serving():
        call = stack.stub.Classify(router_pb2.ClassifyRequest(input={"text": "hard"}))
        await eventually(lambda: stack.large.received)
        assert stack.metric("offramp_tier_rows_in_flight", tier="large") == 1
        assert stack.metric("offramp_tier_rows_in_flight", tier="small") == 0
        call.cancel()
        await eventually(lambda: stack.metric("offramp_tier_rows_in_flight", tier="large") == 0)


async def test_items_with_errors_are_counted_and_answers_are_not_lost(stack):
    broken = common_pb2.ItemError(code=grpc.StatusCode.INTERNAL.value[0], message="broken")
    stack.small.errors = stack.large.errors = {"hard": broken}
    async with stack.serving():
        inputs = [{"text": "easy"}, {"text": "hard"}, {"text": ""}]
        await stack.stub.ClassifyBatch(router_pb2.ClassifyBatchRequest(inputs=inputs))
        for code in ("INTERNAL", "INVALID_ARGUMENT"):
            labels = {"route": "sentiment", "code": code}
            assert stack.metric("offramp_request_errors_total", **labels) == 1
        labels = {"route": "sentiment", "exit": "small", "outcome": "confident"}
        assert stack.metric("offramp_requests_total", **labels) == 1
