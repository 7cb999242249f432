"""The stream of the public service, without sockets: how far it reads ahead of its reader."""

from __future__ import annotations

import asyncio

import pytest

from offramp.v1 import router_pb2
from router.admission import Admission
from router.servicer import RouterServicer

MAX_ITEMS = 3


class AtOnce:
    """A classifier that has every answer at once; texts are counted as it gets them."""

    def __init__(self) -> None:
        self.asked = 0

    def job(self, route, override, seconds_left):
        return None

    async def result(self, text, field, job, into):
        self.asked += 1
        if text.text == "broken":
            raise RuntimeError("no classifier does this")


class Context:
    def time_remaining(self) -> None:
        return None


@pytest.fixture
def classifier() -> AtOnce:
    return AtOnce()


def answers(classifier, texts):
    async def requests():
        for n, text in enumerate(texts):
            yield router_pb2.ClassifyStreamRequest(id=str(n), input={"text": text})

    admission = Admission(1)
    return RouterServicer(classifier, admission, MAX_ITEMS).ClassifyStream(requests(), Context())


async def settle() -> None:
    """Let everything go on that can."""
    for _ in range(1000):
        await asyncio.sleep(0)


async def test_a_reader_that_stops_stops_the_reading(classifier):
    stream = answers(classifier, ["a"] * 100)
    await anext(stream)
    await settle()
    # The answer in the reader's hands counts until it asks for the next one.
    assert classifier.asked == MAX_ITEMS
    await anext(stream)
    await settle()
    assert classifier.asked == MAX_ITEMS + 1
    await stream.aclose()


async def test_a_slow_reader_gets_every_answer(classifier):
    async with asyncio.timeout(60):
        stream, ids = answers(classifier, ["a"] * 20), []
        async for answer in stream:
            await settle()
            ids.append(answer.id)
    assert sorted(ids, key=int) == [str(n) for n in range(20)]


async def test_an_item_that_fails_unexpectedly_takes_no_room_from_the_others(classifier):
    async with asyncio.timeout(60):
        texts = ["broken"] * (2 * MAX_ITEMS) + ["a"] * 5
        assert len([answer async for answer in answers(classifier, texts)]) == 5
