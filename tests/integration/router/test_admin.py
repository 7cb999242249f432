"""The admin service: status, policies set for a while, dry runs, watching."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from google.protobuf import duration_pb2

from offramp.v1 import admin_pb2, common_pb2
from router.config import PolicySettings
from router.objective import solve
from tests.support.cascade import EXITS, bundle_id, make_route

pytestmark = pytest.mark.usefixtures("certainties")


async def set_policy(stack, yaml: str, seconds: float | None = None) -> admin_pb2.Policy:
    ttl = None
    if seconds is not None:
        ttl = duration_pb2.Duration()
        ttl.FromNanoseconds(int(seconds * 1e9))
    request = admin_pb2.SetPolicyRequest(yaml=yaml, ttl=ttl)
    return (await stack.admin.SetPolicy(request)).policy


async def get_policy(stack) -> admin_pb2.Policy:
    return (await stack.admin.GetPolicy(admin_pb2.GetPolicyRequest())).policy


async def test_a_policy_that_is_set_binds_the_next_request(stack):
    async with stack.serving():
        policy = await set_policy(stack, "objective: {threshold: 0.98}")
        answer = await stack.classify("easy")
    assert (policy.version, policy.source) == (2, "admin")
    assert not policy.HasField("expires_at")
    assert (answer.exit, answer.policy_version) == ("large@3", 2)


async def test_after_its_time_the_files_policy_is_in_force_again(stack, eventually):
    async with stack.serving():
        policy = await set_policy(stack, "objective: {threshold: 0.98}", seconds=0.3)
        assert policy.HasField("expires_at")
        await eventually(lambda: stack.metric("offramp_policy_version", route="sentiment") == 3)
        restored = await get_policy(stack)
    assert (restored.source, restored.thresholds[0].threshold) == ("file", 0.9)


async def test_a_change_of_the_file_ends_what_was_set(stack):
    async with stack.serving():
        await set_policy(stack, "objective: {threshold: 0.98}")
        await stack.admin.Reload(admin_pb2.ReloadRequest())
        assert (await get_policy(stack)).source == "admin"
        stack.write(policy={"objective": {"threshold": 0.7}})
        await stack.admin.Reload(admin_pb2.ReloadRequest())
        policy = await get_policy(stack)
    assert (policy.source, policy.thresholds[0].threshold) == ("file", 0.7)


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("objective: {threshold: 2}", "yaml:1: objective.threshold: Input should be less than or"),
        ("objective: {thresholds: {x: 1}}", "yaml:1: objective.thresholds.x: no such exit"),
        ("confidence: margin", "yaml:1: objective: this key is missing"),
        ("", "yaml: expected settings"),
        ("[" * 3000, "yaml: cannot be understood"),
        ("since: 2026-99-99", "yaml: cannot be understood"),
        ("{[a]: b}", "yaml: cannot be understood"),
    ],
)
async def test_a_policy_with_a_mistake_is_refused_and_changes_nothing(stack, yaml, message):
    async with stack.serving():
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await set_policy(stack, yaml)
        policy = await get_policy(stack)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details().startswith(message)
    assert policy.version == 1


@pytest.mark.parametrize("seconds", [0, -1, 40 * 24 * 3600])
async def test_a_time_to_live_out_of_range_is_refused(stack, seconds):
    async with stack.serving():
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await set_policy(stack, "objective: {threshold: 0.98}", seconds)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details().startswith("ttl: ")


async def test_a_check_forecasts_from_the_evidence_and_changes_nothing(stack):
    async with stack.serving():
        request = admin_pb2.CheckPolicyRequest(yaml="objective: {speedup: 2}\nconfidence: margin")
        checked = (await stack.admin.CheckPolicy(request)).policy
        in_force = await get_policy(stack)
    settings = PolicySettings.model_validate({"objective": {"speedup": 2}, "confidence": "margin"})
    solution = solve(make_route(stack.bundle), settings)
    assert [t.threshold for t in checked.thresholds] == list(solution.thresholds)
    assert checked.confidence == common_pb2.CONFIDENCE_MEASURE_MARGIN
    assert checked.forecast.accuracy == solution.forecast.accuracy
    assert checked.forecast.speedup == pytest.approx(solution.forecast.speedup)
    assert checked.forecast.speedup >= 2
    assert [share.exit for share in checked.forecast.exits] == list(EXITS)
    assert sum(share.share for share in checked.forecast.exits) == pytest.approx(1)
    assert (checked.version, checked.source) == (0, "")
    assert in_force.version == 1


async def test_what_was_certified_is_told_of_checked_and_serving_policies(stack):
    objective = {"max_accuracy_loss": 0.05, "confidence": 0.9}
    async with stack.serving(policy={"objective": objective}):
        in_force = (await get_policy(stack)).guarantee
        status = (await stack.admin.GetStatus(admin_pb2.GetStatusRequest())).routes[0]
        request = admin_pb2.CheckPolicyRequest(
            yaml="objective: {max_disagreement: 0.1, method: crc}"
        )
        checked = (await stack.admin.CheckPolicy(request)).policy.guarantee
    settings = PolicySettings.model_validate({"objective": objective})
    expected = solve(make_route(stack.bundle), settings).guarantee
    assert status.guarantee == in_force
    assert in_force.statement == str(expected)
    assert in_force.statement.startswith("at most 5 points of accuracy lost to full depth, with")
    assert (in_force.loss, in_force.limit, in_force.method) == ("max_accuracy_loss", 0.05, "ltt")
    assert (in_force.confidence, in_force.examples) == (0.9, 400)
    assert (in_force.observed, in_force.bound) == (expected.observed, expected.bound)
    assert "in expectation, not with a confidence (crc on 400 texts" in checked.statement
    assert not checked.HasField("confidence")


async def test_a_policy_that_promises_nothing_has_no_guarantee(stack):
    async with stack.serving():
        assert not (await get_policy(stack)).HasField("guarantee")


async def test_a_certified_policy_stays_when_another_cannot_be_certified(stack):
    async with stack.serving(policy={"objective": {"max_accuracy_loss": 0.05}}):
        before = await get_policy(stack)
        with pytest.raises(grpc.aio.AioRpcError, match=r"about 598 would do: take evidence"):
            await set_policy(stack, "objective: {max_accuracy_loss: 0.005}")
        assert await get_policy(stack) == before


async def test_the_yaml_of_a_policy_can_be_set_again(stack):
    async with stack.serving(policy={"objective": {"thresholds": {"small": 0.8}}}):
        policy = await get_policy(stack)
        again = await set_policy(stack, policy.yaml)
    assert again.version == policy.version
    assert [t.threshold for t in policy.thresholds] == [0.8, 1.0, 1.0, 0.0]


async def test_watching_shows_the_policy_now_and_after_every_change(stack):
    async with stack.serving():
        call = stack.admin.WatchPolicy(admin_pb2.WatchPolicyRequest(route="sentiment"))
        seen = [(await call.read()).policy.version]
        for threshold in (0.8, 0.7):
            await set_policy(stack, f"objective: {{threshold: {threshold}}}")
            seen.append((await call.read()).policy.version)
        call.cancel()
    assert seen == [1, 2, 3]


async def test_a_watch_does_not_hold_up_the_drain(stack):
    async with stack.serving():
        call = stack.admin.WatchPolicy(admin_pb2.WatchPolicyRequest())
        await call.read()
        stack.router.server.settings = stack.router.server.settings.model_copy(
            update={"drain_seconds": 60}
        )
        async with asyncio.timeout(20):
            await stack.router.server.drain()


async def test_the_status_shows_routes_tiers_and_reload(stack, eventually):
    async with stack.serving():
        for text in ("easy", "easy", "easy", "hard"):
            await stack.classify(text)
        await stack.large.stop()
        await eventually(lambda: not stack.router.tiers["large"].stream.available)
        status = await stack.admin.GetStatus(admin_pb2.GetStatusRequest())
    (route,) = status.routes
    assert (route.route, route.bundle_id) == ("sentiment", bundle_id(stack.bundle))
    assert (route.requests, route.escalation_ratio) == (4, 0.25)
    assert {e.exit: e.requests for e in route.exits if e.requests} == {"small": 3, "large@3": 1}
    assert {t.tier: (t.reachable, t.backend) for t in status.tiers} == {
        "small": (True, "scripted"),
        "large": (False, "scripted"),
    }
    assert status.reload.last_succeeded
    assert len(status.reload.config_hash) == 16


async def test_an_unknown_route_is_not_found(stack):
    async with stack.serving():
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stack.admin.GetPolicy(admin_pb2.GetPolicyRequest(route="weather"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
