"""Audits: answers held against full depth, off the reply path, and nobody waits for them."""

from __future__ import annotations

import asyncio
import math

import grpc
import pytest

from offramp.client import AsyncClient
from offramp.errors import OverloadedError
from offramp.rpc import wire
from offramp.v1 import router_pb2
from router import audit
from tests.support.cascade import EXITS

# By text: how sure each exit is of the first label; the last exit is of another mind on "wrong".
SURE = {
    "right": dict.fromkeys(EXITS, 0.97),
    "wrong": {**dict.fromkeys(EXITS, 0.97), EXITS[-1]: 0.02},
    "hard": {**dict.fromkeys(EXITS, 0.6), EXITS[-1]: 0.7},
}
ALL = {"objective": {"threshold": 0.9}, "audit_rate": 1.0}


@pytest.fixture(autouse=True)
def certainties(stack):
    def certainty(text, exit_name):
        return SURE[text.split(maxsplit=1)[0]][exit_name]

    stack.small.certainty = stack.large.certainty = certainty


def audits(stack, result):
    return stack.metric("offramp_audits_total", route="sentiment", result=result)


def tally(stack):
    return stack.router.auditor.agreement("sentiment")


async def test_answers_are_held_against_full_depth(stack, eventually):
    async with stack.serving(policy=ALL):
        for text in ("right", "wrong", "right", "hard"):
            await stack.classify(text)
        await eventually(lambda: tally(stack).audited == 3)
        assert (audits(stack, "agreed"), audits(stack, "disagreed")) == (2, 1)
        ratio = stack.metric("offramp_audit_agreement_ratio", route="sentiment")
        assert ratio == pytest.approx(2 / 3), "the hard one's answer is that of full depth anyhow"
        bound = stack.metric("offramp_audit_agreement_lower_bound", route="sentiment")
        assert bound == tally(stack).lower_bound
        again = [item for item in stack.large.received if item.background]
        assert [item.input.text for item in again] == ["right", "wrong", "right"]
        for item in again:
            assert item.plan.last_exit == EXITS[-1]
            assert all(t.threshold in (0, 1) for t in item.plan.thresholds)
        spent = stack.metric("offramp_audit_cost_flops_total", route="sentiment")
        full = await stack.classify("right", full_depth=True)
        assert spent == pytest.approx(3 * full.cost.flops)


async def test_requests_are_drawn_at_the_rate(stack, eventually):
    async with stack.serving(policy={**ALL, "audit_rate": 0.25}):
        drawn = iter([0.24, 0.25, 0.9, 0.0])
        stack.router.auditor._draw = lambda: next(drawn)
        for number in range(4):
            await stack.classify(f"right {number}")
        await eventually(lambda: tally(stack).audited == 2)
        assert stack.large.texts == ["right 0", "right 3"]


async def test_without_a_rate_nothing_is_audited(stack):
    async with stack.serving():
        await stack.classify("right")
        await asyncio.sleep(0.05)
        assert stack.large.texts == []
        assert math.isnan(stack.metric("offramp_audit_agreement_ratio", route="sentiment"))


async def test_what_the_policy_did_not_decide_alone_is_not_audited(stack):
    async with stack.serving(policy=ALL):
        await stack.classify("right", min_confidence=0.5)
        await stack.classify("hard", last_exit="small")
        await stack.large.stop()
        degraded = await stack.classify("hard")
        assert degraded.exit == "small"
        await asyncio.sleep(0.05)
        assert tally(stack).audited == 0
        assert audits(stack, "dropped") == 0


async def test_audits_that_there_is_no_time_for_are_dropped(stack, eventually, monkeypatch):
    monkeypatch.setattr(audit, "PLACES", 2)
    monkeypatch.setattr(audit, "PATIENCE_SECONDS", 0.3)
    busy = wire.item_error(OverloadedError("the queue is half full"))
    async with stack.serving(policy=ALL):
        stack.large.errors["right refused"] = busy
        await stack.classify("right refused")
        await eventually(lambda: audits(stack, "dropped") == 1)
        stack.large.silent |= {"right 0", "right 1"}
        for number in range(3):
            await stack.classify(f"right {number}")
        assert audits(stack, "dropped") == 2, "two wait, there is no room for a third"
        await eventually(lambda: audits(stack, "dropped") == 4)
        stack.large.late.add("right late")
        await stack.classify("right late")
        await eventually(lambda: audits(stack, "dropped") == 5)
        assert tally(stack).audited == 0


async def test_another_policy_begins_another_tally(stack, eventually):
    async with stack.serving(policy=ALL):
        address = f"127.0.0.1:{stack.router.server.port}"
        async with AsyncClient(address) as client:
            before = (await client.admin.status()).routes[0].audits
            await client.classify("wrong")
            await eventually(lambda: tally(stack).audited == 1)
            found = (await client.admin.status()).routes[0].audits
            await client.admin.set_policy("{objective: {threshold: 0.8}, audit_rate: 1.0}")
            after = (await client.admin.status()).routes[0].audits
            await client.classify("right")
            await eventually(lambda: tally(stack).audited == 1)
            again = (await client.admin.status()).routes[0].audits
    assert before is after is None
    assert (found.audited, found.agreed, found.agreement_lower_bound) == (1, 0, 0)
    assert (again.audited, again.agreed, again.agreement_ratio) == (1, 1, 1)
    assert again.agreement_lower_bound == pytest.approx(1 - audit.CONFIDENCE)


async def test_a_router_that_stops_gives_up_its_audits(stack, eventually):
    stack.large.silent.add("right")
    async with stack.serving(policy=ALL):
        await stack.classify("right")
        await eventually(lambda: stack.large.texts == ["right"])
        assert stack.router.tiers["large"].stream.in_flight == 1
    assert stack.router.tiers["large"].stream.in_flight == 0
    assert audits(stack, "dropped") == 0


async def test_a_burst_is_drawn_before_it_is_known_what_is_easy(stack, eventually, monkeypatch):
    """Or the easy answers, which come first, would have all places."""
    monkeypatch.setattr(audit, "PLACES", 4)
    async with stack.serving(policy=ALL):
        inputs = [{"text": text} for text in ("hard 0", "hard 1", "right 0", "hard 2", "right 1")]
        await stack.stub.ClassifyBatch(router_pb2.ClassifyBatchRequest(inputs=inputs))
        await eventually(lambda: tally(stack).audited == 1)
        assert audits(stack, "dropped") == 1
        assert stack.router.auditor._places == {"sentiment": 4}, "hard ones have given theirs back"


async def test_requests_without_an_answer_give_their_place_back(stack):
    stack.small.silent.add("right")
    async with stack.serving(policy=ALL):
        with pytest.raises(grpc.aio.AioRpcError):
            await stack.classify("right", timeout=0.2)
        assert stack.router.auditor._places == {"sentiment": audit.PLACES}


async def test_audits_take_no_place_of_a_request(stack, eventually):
    async with stack.serving(policy=ALL, limits={"max_in_flight": 2}):
        stack.large.silent |= {"right 0", "right 1", "right 2"}
        for number in range(3):
            await stack.classify(f"right {number}")
        await eventually(lambda: len(stack.large.texts) == 3)
        answer = await stack.classify("hard")
        assert (answer.exit, stack.router.tiers["large"].stream.in_flight) == (EXITS[-1], 3)
