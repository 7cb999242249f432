"""One Infer stream, without the sockets: what it takes in, and what it holds back."""

import asyncio

import pytest

from offramp.errors import InvalidRequestError
from offramp.v1 import tier_pb2
from services import stream
from services.engine.worker import Worker
from services.metrics import TierMetrics
from services.stream import InferStream
from services.tokens import TokenRules
from services.validation import ItemReader

EXITS = ("large@1", "large@2", "large@4")


@pytest.fixture
def idle_stream(make_engine, registry):
    """A stream whose worker runs nothing; bad items are answered without it."""
    metrics = TierMetrics(registry, EXITS)
    tokens = TokenRules(accepted=False, vocabulary=0, max_tokens=8)
    reader = ItemReader(EXITS, (), (), False, tokens, learned=False)
    worker = Worker(make_engine(), 10, metrics)
    return InferStream(worker, reader, metrics, EXITS, ("a", "b", "c"))


def bad_items(count):
    return tier_pb2.InferRequest(items=[tier_pb2.InferItem(id=number) for number in range(count)])


async def test_caller_who_does_not_read_is_not_read_from(idle_stream, monkeypatch):
    monkeypatch.setattr(stream, "MAX_UNSENT", 4)
    taken = []

    async def requests():
        for number in range(5):
            taken.append(number)
            yield bad_items(3)

    reading = asyncio.create_task(idle_stream.read(requests()))
    await asyncio.sleep(0.05)
    assert taken == [0, 1]
    found = [len(r.results) async for r in idle_stream.responses(reading)]
    assert sum(found) == 15
    assert taken == [0, 1, 2, 3, 4]


async def test_messages_hold_no_more_results_than_receivers_take(idle_stream, monkeypatch):
    monkeypatch.setattr(stream, "MAX_RESULTS", 4)

    async def requests():
        yield bad_items(10)

    reading = asyncio.create_task(idle_stream.read(requests()))
    await reading
    assert [len(r.results) async for r in idle_stream.responses(reading)] == [4, 4, 2]


async def test_message_of_too_many_items_ends_the_stream(idle_stream):
    async def requests():
        yield bad_items(stream.MAX_ITEMS + 1)

    reading = asyncio.create_task(idle_stream.read(requests()))
    with pytest.raises(InvalidRequestError, match=r"1025 items, at most 1024"):
        [_ async for _ in idle_stream.responses(reading)]


async def test_rejected_items_are_counted(idle_stream, registry):
    async def requests():
        yield bad_items(3)

    await idle_stream.read(requests())
    reason = {"reason": "invalid_request"}
    assert registry.get_sample_value("offramp_tier_rejected_total", reason) == 3
