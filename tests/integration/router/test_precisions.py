"""Tiers say what they compute in; thresholds come from evidence in exactly that, or not at all."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import grpc
import pytest

from offramp.bundle import content_id, read_evidence, read_manifest, write_evidence, write_manifest
from offramp.decision.calibrators import Temperature
from offramp.decision.readout import Readout
from offramp.errors import BundleError
from offramp.v1 import admin_pb2, admin_pb2_grpc
from router.app import Router
from router.loading import content_hash

pytestmark = pytest.mark.usefixtures("certainties")
FIVEFOLD = {"objective": {"speedup": 5}}


def add_bf16(stack) -> None:
    """Evidence in bf16 in which the large tier is far less sure; the tiers have the new bundle."""
    manifest = read_manifest(stack.bundle)
    evidence = read_evidence(stack.bundle, manifest)
    doubtful = Readout(Temperature(4.0))
    tiers = tuple(
        replace(t, readouts={**t.readouts, "bf16": (doubtful,) * len(t.exits)})
        for t in manifest.tiers
    )
    changed = replace(manifest, tiers=tiers, id=content_id(manifest.files, tiers))
    write_manifest(stack.bundle, changed)
    write_evidence(stack.bundle, changed, {"fp32": evidence, "bf16": evidence})
    stack.small.bundle_id = stack.large.bundle_id = changed.id


async def policy(stack) -> admin_pb2.Policy:
    return (await stack.admin.GetPolicy(admin_pb2.GetPolicyRequest())).policy


async def thresholds(stack) -> dict[str, float]:
    return {entry.exit: entry.threshold for entry in (await policy(stack)).thresholds}


async def test_thresholds_come_from_the_precision_of_each_tier(stack):
    add_bf16(stack)
    async with stack.serving(policy=FIVEFOLD):
        plain = await thresholds(stack)
    stack.large.precision = "bf16"
    async with stack.serving(policy=FIVEFOLD):
        mixed = await thresholds(stack)
        version = (await policy(stack)).version
        shown = stack.metric("offramp_threshold", route="sentiment", exit="large@1")
    # Less sure in bf16, the large tier's exits are held to less; the small tier is as it was.
    assert mixed["large@1"] < plain["large@1"] - 0.1
    assert mixed["small"] == pytest.approx(plain["small"], abs=0.1)
    # The first version was the one solved in fp32, before the tiers said what they compute in.
    assert (version, shown) == (2, pytest.approx(mixed["large@1"]))


async def test_reloads_and_operators_use_that_evidence_too(stack):
    add_bf16(stack)
    stack.large.precision = "bf16"
    async with stack.serving(policy=FIVEFOLD):
        first = await thresholds(stack)
        await stack.admin.SetPolicy(admin_pb2.SetPolicyRequest(yaml="objective: {speedup: 4}"))
        await stack.admin.SetPolicy(admin_pb2.SetPolicyRequest(yaml="objective: {speedup: 5}"))
        assert await thresholds(stack) == first


@asynccontextmanager
async def waiting_for_large(stack, eventually):
    """A router that starts and waits for its large tier; yields the task that starts it."""
    await stack.small.start()
    await stack.large.start()
    await stack.large.stop()
    stack.write(policy=FIVEFOLD)
    router = stack.router = Router(stack.config)
    starting = asyncio.create_task(router.start())
    try:
        await eventually(lambda: router.tiers["small"].stream.available)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{router.server.port}") as channel:
            stack.admin = admin_pb2_grpc.RouterAdminServiceStub(channel)
            yield starting
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await router.stop()
        await router.server.drain()
        await stack.small.stop()
        await stack.large.stop()


@pytest.mark.parametrize("precision", ["", "bf16"])
async def test_while_tiers_are_waited_for_nothing_is_changed(stack, eventually, precision):
    add_bf16(stack)
    stack.large.precision = precision
    async with waiting_for_large(stack, eventually) as starting:
        before = await policy(stack)
        yaml = "objective: {threshold: 0.7}"
        for refused in (
            stack.admin.SetPolicy(admin_pb2.SetPolicyRequest(yaml=yaml)),
            stack.admin.CheckPolicy(admin_pb2.CheckPolicyRequest(yaml=yaml)),
            stack.admin.Reload(admin_pb2.ReloadRequest()),
        ):
            with pytest.raises(grpc.aio.AioRpcError, match="waits for its tiers") as caught:
                await refused
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await policy(stack) == before
        await stack.large.start()
        await starting
        await stack.admin.SetPolicy(admin_pb2.SetPolicyRequest(yaml=yaml))
        assert (await policy(stack)).source == "admin"


async def test_a_file_that_changed_while_tiers_were_waited_for_is_in_force_after(stack, eventually):
    add_bf16(stack)
    stack.large.precision = "bf16"
    async with waiting_for_large(stack, eventually) as starting:
        stack.write(policy={"objective": {"threshold": 0.7}})
        await stack.large.start()
        await starting
        reloader = stack.router.reloader
        await eventually(lambda: reloader.status.hash == content_hash(stack.config.read_text()))
        assert (await policy(stack)).thresholds[0].threshold == 0.7


async def test_a_watch_sees_the_policy_of_the_tiers_precision(stack, eventually):
    add_bf16(stack)
    stack.large.precision = "bf16"
    async with waiting_for_large(stack, eventually) as starting:
        call = stack.admin.WatchPolicy(admin_pb2.WatchPolicyRequest())
        first = (await call.read()).policy
        await stack.large.start()
        await starting
        second = (await asyncio.wait_for(call.read(), 30)).policy
        call.cancel()
    assert (first.version, second.version) == (1, 2)
    assert second.thresholds[1].threshold < first.thresholds[1].threshold - 0.1


async def test_a_precision_without_evidence_stops_the_start_with_the_remedy(stack):
    stack.large.precision = "bf16"
    await stack.small.start()
    await stack.large.start()
    stack.write()
    router = Router(stack.config)
    try:
        with pytest.raises(
            BundleError, match=r"computes in bf16, the bundle has evidence in fp32; ta"
        ):
            await router.start()
    finally:
        await router.stop()
        await router.server.drain()
        await stack.small.stop()
        await stack.large.stop()


async def test_a_tier_that_comes_back_in_another_precision_is_not_used(stack, eventually, caplog):
    add_bf16(stack)
    async with stack.serving():
        tier = stack.router.tiers["large"]
        await stack.large.stop()
        await eventually(lambda: not tier.stream.available)
        stack.large.precision = "bf16"
        before = stack.large.describes
        await stack.large.start()
        await eventually(lambda: stack.large.describes > before)
        answer = await stack.classify("hard")
        assert (answer.exit, tier.stream.available) == ("small", False)
        assert "or the tier with `precision: fp32` under `engine`" in caplog.text
        await stack.large.stop()
        stack.large.precision = "fp32"
        await stack.large.start()
        await eventually(lambda: tier.stream.available)
        assert (await stack.classify("hard")).exit == "large@3"


async def test_the_learned_measure_needs_scores(stack):
    async with stack.serving():
        before = await policy(stack)
        with pytest.raises(Exception, match="no learned score for small, large@1") as caught:
            await stack.admin.SetPolicy(
                admin_pb2.SetPolicyRequest(yaml="objective: {speedup: 2}\nconfidence: learned")
            )
        assert "offramp calibrate BUNDLE DATA" in caught.value.details()
        assert await policy(stack) == before
