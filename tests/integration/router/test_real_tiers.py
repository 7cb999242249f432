"""The router before the real tiers, with a really trained bundle."""

from __future__ import annotations

from itertools import combinations

import grpc
import pytest

from offramp.v1 import router_pb2_grpc
from tests.support.whole import batch, cascade

TEXTS = (
    "a warm and funny film",
    "dull , slow and far too long",
    "not without charm , but hardly a good film",
    "the plot makes no sense at all",
    "wonderful",
)


@pytest.fixture
async def router(tiny_bundle, tmp_path):
    """A router that has connected to both tiers."""
    async with cascade(tiny_bundle, tmp_path, {"objective": {"speedup": 3}}) as made:
        yield made


@pytest.fixture
async def stub(router):
    async with grpc.aio.insecure_channel(f"127.0.0.1:{router.server.port}") as channel:
        yield router_pb2_grpc.RouterServiceStub(channel)


async def test_a_text_has_one_answer_alone_in_a_batch_and_in_any_order(stub):
    alone = [(await batch(stub, [text]))[0] for text in TEXTS]
    together = await batch(stub, TEXTS)
    reversed_order = (await batch(stub, TEXTS[::-1]))[::-1]
    for one, *others in zip(alone, together, reversed_order, strict=True):
        for other in others:
            assert (other.exit, other.label) == (one.exit, one.label)
            assert other.confidence == pytest.approx(one.confidence, abs=1e-4)


async def test_full_depth_is_the_unit_of_cost(stub):
    for answer in await batch(stub, TEXTS, full_depth=True):
        assert answer.exit == "large@3"
        assert answer.cost.relative == pytest.approx(1.0)
        assert answer.cost.baseline_seconds > 0


async def test_every_answer_keeps_to_its_thresholds(stub):
    for answer in await batch(stub, TEXTS * 10):
        thresholds = {t.exit: t.threshold for t in answer.thresholds}
        assert answer.confidence >= thresholds[answer.exit]
        for step in answer.steps[:-1]:
            assert step.confidence < thresholds[step.exit]


async def test_the_gauges_equal_what_the_answers_say(router, stub):
    answers = await batch(stub, TEXTS * 20)
    flops = sum(a.cost.flops for a in answers)
    baseline = sum(a.cost.baseline_flops for a in answers)
    labels = {"route": "sentiment"}
    speedup = router.registry.get_sample_value("offramp_speedup_ratio", labels)
    escalation = router.registry.get_sample_value("offramp_escalation_ratio", labels)
    assert speedup == pytest.approx(baseline / flops)
    assert escalation == pytest.approx(sum(a.escalated for a in answers) / len(answers))


async def test_audits_find_what_full_depth_finds(tiny_bundle, tmp_path, eventually):
    policy = {"objective": {"speedup": 6}, "audit_rate": 1.0}
    texts = [" ".join(chosen) for chosen in combinations(" ".join(TEXTS).split(), 2)][:60]
    async with (
        cascade(tiny_bundle, tmp_path, policy) as router,
        grpc.aio.insecure_channel(f"127.0.0.1:{router.server.port}") as channel,
    ):
        stub = router_pb2_grpc.RouterServiceStub(channel)
        answers = [(await batch(stub, [text]))[0] for text in texts]
        early = [answer.exit != "large@3" for answer in answers]
        await eventually(lambda: router.auditor.agreement("sentiment").audited == sum(early), 60)
        found = router.auditor.agreement("sentiment")
        full = await batch(stub, texts, full_depth=True)
    same = [a.label == b.label for a, b in zip(answers, full, strict=True)]
    assert found.agreed == sum(s for s, e in zip(same, early, strict=True) if e)
    assert any(early)
