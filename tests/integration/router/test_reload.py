"""Reload: what an edit changes, what a mistake does not, and that no request notices."""

from __future__ import annotations

import asyncio
import itertools

import grpc
import pytest
import yaml

from offramp.v1 import admin_pb2, router_pb2
from tests.support.cascade import write_text

pytestmark = pytest.mark.usefixtures("certainties")


# What is found in the file, what stands there instead, and what is said of it after the file name.
MISTAKES = [
    (
        "threshold: 0.9",
        "threshold: 1.9",
        "20: routes.sentiment.policy.objective.threshold: Input should be less than or equal to 1",
    ),
    (
        "threshold: 0.9",
        "threshold: 'much'",
        "20: routes.sentiment.policy.objective.threshold: Input should be a valid number",
    ),
    (
        "threshold: 0.9",
        "threshold: .nan",
        "20: routes.sentiment.policy.objective.threshold: Input should be a finite number",
    ),
    (
        "threshold: 0.9",
        "thresholds: {small: 0.9, large@7: 0.8}",
        "20: routes.sentiment.policy.objective.thresholds.large@7: "
        "no such exit; this bundle has: small, large@1, large@2, large@3",
    ),
    (
        "threshold: 0.9",
        "speedup: 100000",
        "20: routes.sentiment.policy.objective.speedup: mean cost 1e-05 is below what this "
        "cascade can do: at least 0.01155 (a speedup of 86.6)",
    ),
    (
        "threshold: 0.9",
        "speedup: 0",
        "20: routes.sentiment.policy.objective.speedup: Input should be greater than or equal to 1",
    ),
    (
        "threshold: 0.9",
        "threshold: 0.9\n        speedup: 5",
        "19: routes.sentiment.policy.objective: give exactly one of speedup, mean_cost, "
        "expected_loss, max_accuracy_loss, max_disagreement, threshold, thresholds (given: "
        "speedup, threshold)",
    ),
    (
        "threshold: 0.9",
        "max_accuracy_loss: 0.005\n        confidence: 0.9",
        "20: routes.sentiment.policy.objective.max_accuracy_loss: at most 0.5 points of accuracy "
        "lost to full depth, with confidence 0.9: cannot be certified on the 400 texts that the "
        "evidence keeps for it, where even the safest early answers lose 0.00%; about 460 would "
        "do: take evidence on more labelled texts with `offramp calibrate BUNDLE DATA`, or raise "
        "the limit",
    ),
    (
        "objective:\n        threshold: 0.9",
        "objective: {}",
        "19: routes.sentiment.policy.objective: give exactly one of speedup, mean_cost, "
        "expected_loss, max_accuracy_loss, max_disagreement, threshold, thresholds (given: none)",
    ),
    (
        "objective:\n        threshold: 0.9",
        "confidence: max_prob",
        "18: routes.sentiment.policy.objective: this key is missing",
    ),
    (
        "threshold: 0.9",
        "threshold: 0.9\n      confidence: certainty",
        "21: routes.sentiment.policy.confidence: Input should be 'max_prob', 'margin', "
        "'entropy' or 'learned'",
    ),
    (
        "threshold: 0.9",
        "threshold: 0.9\n      on_tier_loss: panic",
        "21: routes.sentiment.policy.on_tier_loss: Input should be 'degrade' or 'fail'",
    ),
    (
        "threshold: 0.9",
        "threshold: 0.9\n      deadline_margin_ms: -1",
        "21: routes.sentiment.policy.deadline_margin_ms: "
        "Input should be greater than or equal to 0",
    ),
    (
        "threshold: 0.9",
        "threshold: 0.9\n      confidance: max_prob",
        "21: routes.sentiment.policy.confidance: unknown key; remove it or correct its spelling",
    ),
    (
        "threshold: 0.9",
        "threshold: 0.9\n        threshold: 0.8",
        "21: key 'threshold' is written twice",
    ),
    (
        "    - large\n",
        "    - huge\n",
        "17: routes.sentiment.tiers.1: no tier 'huge'; `tiers` has: small, large",
    ),
    (
        "drain_seconds: 0",
        "drain_seconds: -3",
        "4: server.drain_seconds: Input should be greater than or equal to 0",
    ),
]


def small_threshold(stack) -> float | None:
    return stack.metric("offramp_threshold", route="sentiment", exit="small")


def edited(stack, find: str, replace: str) -> str:
    """The config's text with one edit."""
    text = yaml.safe_dump(stack.settings(), sort_keys=False)
    assert find in text
    return text.replace(find, replace, 1)


async def test_an_edit_of_the_file_comes_into_force_by_itself(stack, eventually):
    async with stack.serving():
        before = await stack.classify("easy")
        stack.write(policy={"objective": {"threshold": 0.98}})
        await eventually(lambda: small_threshold(stack) == 0.98)
        after = await stack.classify("easy")
    assert (before.exit, before.policy_version) == ("small", 1)
    assert (after.exit, after.policy_version) == ("large@3", 2)


async def test_a_swap_of_the_folder_behind_a_symlink_is_an_edit(stack, eventually):
    """As Kubernetes updates a ConfigMap: file -> ..data/file, ..data -> a folder, renamed over."""
    folder = stack.config.parent
    async with stack.serving():
        text = stack.config.read_text()
        for name, content in (("v1", text), ("v2", text.replace("0.9", "0.97"))):
            (folder / name).mkdir()
            (folder / name / "router.yaml").write_text(content)
        (folder / "..data").symlink_to("v1")
        stack.config.unlink()
        stack.config.symlink_to("..data/router.yaml")
        await stack.admin.Reload(admin_pb2.ReloadRequest())
        (folder / "..data_tmp").symlink_to("v2")
        (folder / "..data_tmp").rename(folder / "..data")
        await eventually(lambda: small_threshold(stack) == 0.97)


@pytest.mark.parametrize(("find", "replace", "message"), MISTAKES)
async def test_a_mistake_is_named_by_file_line_and_key_and_changes_nothing(
    stack, find, replace, message
):
    async with stack.serving():
        write_text(stack.config, edited(stack, find, replace))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stack.admin.Reload(admin_pb2.ReloadRequest())
        answer = await stack.classify("easy")
        status = (await stack.admin.GetStatus(admin_pb2.GetStatusRequest())).reload
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == f"{stack.config}:{message}"
    assert (answer.exit, answer.policy_version) == ("small", 1)
    assert (status.last_succeeded, status.error) == (False, f"{stack.config}:{message}")
    assert stack.metric("offramp_config_last_reload_successful") == 0


@pytest.mark.parametrize("content", ["", "{", "[" * 5000, "- a\n- b\n", "a: &x [*x]"])
async def test_what_is_no_config_at_all_changes_nothing(stack, content):
    async with stack.serving():
        write_text(stack.config, content)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stack.admin.Reload(admin_pb2.ReloadRequest())
        answer = await stack.classify("easy")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert str(stack.config) in caught.value.details()
    assert answer.policy_version == 1


async def test_a_file_that_is_gone_changes_nothing_until_it_is_back(stack, eventually):
    async with stack.serving():
        stack.config.unlink()
        await eventually(lambda: stack.metric("offramp_config_last_reload_successful") == 0)
        assert (await stack.classify("easy")).exit == "small"
        stack.write()
        await eventually(lambda: stack.metric("offramp_config_last_reload_successful") == 1)


async def test_a_changed_fixed_setting_is_reported_and_the_policy_still_applies(stack):
    async with stack.serving():
        changed = stack.settings(policy={"objective": {"threshold": 0.98}})
        changed["limits"]["max_batch_items"] = 7
        changed["server"]["drain_seconds"] = 3
        write_text(stack.config, yaml.safe_dump(changed))
        reload = (await stack.admin.Reload(admin_pb2.ReloadRequest())).reload
        answer = await stack.classify("easy")
    assert sorted(reload.restart_required) == ["limits.max_batch_items", "server.drain_seconds"]
    assert reload.last_succeeded
    assert answer.policy_version == 2
    assert stack.router.settings.limits.max_batch_items == 1024


async def test_the_version_grows_only_when_a_policy_changes(stack):
    async with stack.serving():
        write_text(stack.config, "# a comment\n" + stack.config.read_text())
        await stack.admin.Reload(admin_pb2.ReloadRequest())
        await stack.admin.Reload(admin_pb2.ReloadRequest())
        answer = await stack.classify("easy")
    assert answer.policy_version == 1


async def test_thresholds_that_did_not_change_are_not_solved_again(stack):
    async with stack.serving():
        before = stack.router.policies["sentiment"].solution
        write_text(stack.config, "# a comment\n" + stack.config.read_text())
        await stack.admin.Reload(admin_pb2.ReloadRequest())
        assert stack.router.policies["sentiment"].solution is before


async def test_a_hundred_reloads_under_load_fail_no_request(stack, eventually):
    """Half of the files are broken; each answer obeys the policy whose version it names."""
    by_version = {1: 0.9}
    answers = []
    done = asyncio.Event()

    async def load(text: str) -> None:
        while not done.is_set():
            answers.append(await stack.classify(text))

    async with stack.serving():
        workers = [asyncio.create_task(load(text)) for text in ("easy", "middling", "hard") * 3]
        for round_number, threshold in zip(range(50), itertools.cycle((0.96, 0.98, 0.5))):
            write_text(stack.config, "routes: {sentiment: 3")
            with pytest.raises(grpc.aio.AioRpcError):
                await stack.admin.Reload(admin_pb2.ReloadRequest())
            stack.write(policy={"objective": {"threshold": threshold}})
            await stack.admin.Reload(admin_pb2.ReloadRequest())
            by_version[2 + round_number] = threshold
        done.set()
        await asyncio.gather(*workers)
        failures = stack.metric("offramp_config_reloads_total", result="failure")
        successes = stack.metric("offramp_config_reloads_total", result="success")
    assert failures >= 50
    assert successes >= 50
    assert len({answer.policy_version for answer in answers}) > 10
    for answer in answers:
        assert answer.thresholds[0].threshold == by_version[answer.policy_version]
        passed = answer.outcome == router_pb2.OUTCOME_CONFIDENT
        assert passed == (answer.confidence >= by_version[answer.policy_version]) or (
            answer.exit == "large@3"
        )
