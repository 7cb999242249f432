"""A chain of three tiers is configuration: the same pipeline, one leg more."""

from __future__ import annotations

from dataclasses import replace

import grpc
import pytest

from offramp.bundle import (
    ExitSpec,
    TierSpec,
    content_id,
    read_evidence,
    read_manifest,
    write_evidence,
    write_manifest,
)
from offramp.decision.readout import Readout
from offramp.v1 import router_pb2, router_pb2_grpc
from router.app import Router
from tests.support.cascade import EXITS, settings_for, write_config
from tests.support.scripted_tier import ScriptedTier

CHAIN = {"small": EXITS[:1], "middle": EXITS[1:2], "large": EXITS[2:]}


def make_chain(bundle) -> str:
    """Part the large tier of a bundle in two; returns the new id."""
    manifest = read_manifest(bundle)
    evidence = read_evidence(bundle, manifest)
    exits = {e.name: e for tier in manifest.tiers for e in tier.exits}
    tiers = tuple(
        TierSpec(
            name,
            "scripted",
            tuple(exits[e] for e in names),
            64,
            {"fp32": (Readout(),) * len(names)},
        )
        for name, names in CHAIN.items()
    )
    assert all(isinstance(e, ExitSpec) for tier in tiers for e in tier.exits)
    identity = content_id(manifest.files, tiers)
    changed = replace(manifest, id=identity, tiers=tiers)
    write_manifest(bundle, changed)
    write_evidence(bundle, changed, {"fp32": replace(evidence, exits=changed.exit_costs)})
    return identity


@pytest.fixture
async def chain(stack, tmp_path):
    """The three tiers and a stub of their router."""
    identity = make_chain(stack.bundle)
    tiers = {name: ScriptedTier(name, exits, identity) for name, exits in CHAIN.items()}
    sure = {"small": 0.6, "large@1": 0.7, "large@2": 0.8, "large@3": 0.99}
    for tier in tiers.values():
        tier.certainty = lambda text, exit_name: sure[exit_name]
        await tier.start()
    addresses = {name: tier.address for name, tier in tiers.items()}
    write_config(stack.config, settings_for(stack.bundle, addresses))
    router = Router(stack.config)
    await router.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{router.server.port}") as channel:
        yield tiers, router, router_pb2_grpc.RouterServiceStub(channel)
    await router.stop()
    await router.server.drain()
    for tier in tiers.values():
        await tier.stop()


async def classify(stub, **override):
    request = router_pb2.ClassifyRequest(input={"text": "x"}, override=override or None)
    return (await stub.Classify(request, timeout=20)).classification


async def test_a_text_goes_from_tier_to_tier_until_one_is_sure(chain):
    _, _, stub = chain
    answer = await classify(stub)
    assert answer.exit == "large@3"
    assert [step.tier for step in answer.timing.tiers] == ["small", "middle", "large"]
    assert [step.exit for step in answer.steps] == list(EXITS)


async def test_the_middle_tier_may_be_the_last_allowed(chain):
    tiers, _, stub = chain
    answer = await classify(stub, last_exit="large@1")
    assert (answer.exit, answer.outcome) == ("large@1", router_pb2.OUTCOME_LAST_EXIT)
    assert tiers["large"].received == []


async def test_full_depth_skips_every_tier_but_the_last(chain):
    tiers, _, stub = chain
    answer = await classify(stub, full_depth=True)
    assert answer.exit == "large@3"
    assert tiers["small"].received == tiers["middle"].received == []


async def test_a_lost_middle_tier_is_passed_over(chain, eventually):
    tiers, router, stub = chain
    await tiers["middle"].stop()
    await eventually(lambda: not router.tiers["middle"].stream.available)
    answer = await classify(stub)
    assert (answer.exit, answer.outcome) == ("large@3", router_pb2.OUTCOME_LAST_EXIT)


async def test_the_deepest_answer_stands_where_the_last_tier_is_lost(chain, eventually):
    tiers, router, stub = chain
    await tiers["large"].stop()
    await eventually(lambda: not router.tiers["large"].stream.available)
    answer = await classify(stub)
    assert (answer.exit, answer.outcome) == ("large@1", router_pb2.OUTCOME_DEGRADED)
    assert answer.escalated
