"""The client's stream against a scripted router: order, bounds, ends."""

from __future__ import annotations

import asyncio

import pytest

from offramp import errors
from offramp.client import AsyncClient, ItemFailure


@pytest.fixture
async def client(address):
    async with AsyncClient(address) as client:
        yield client


async def collect(stream) -> list:
    return [item async for item in stream]


async def test_answers_come_in_order_though_the_router_mixes_them(client, router):
    router.shuffle = True
    texts = [f"text {number}" for number in range(30)]
    answers = await collect(client.classify_stream(texts))
    assert [position for position, _ in answers] == list(range(30))
    assert [answer.label for _, answer in answers] == texts


async def test_unordered_answers_come_as_the_router_sends_them(client, router):
    router.shuffle = True
    answers = await collect(client.classify_stream(["a", "b", "c", "d"], ordered=False))
    assert [position for position, _ in answers] == [3, 2, 1, 0]
    assert [answer.label for _, answer in answers] == ["d", "c", "b", "a"]


async def test_an_asynchronous_source_is_taken_too(client):
    async def source():
        for text in ("a", ("b", "c")):
            await asyncio.sleep(0)
            yield text

    answers = await collect(client.classify_stream(source()))
    assert [answer.label for _, answer in answers] == ["a", "b|c"]


async def test_no_more_texts_are_read_than_may_be_in_flight(client, router):
    router.hold.clear()
    read = 0

    async def source():
        nonlocal read
        for number in range(100):
            read += 1
            yield f"text {number}"

    reader = asyncio.create_task(collect(client.classify_stream(source(), max_in_flight=8)))
    await asyncio.sleep(0.3)
    assert read == 9  # eight in flight, and one at the gate
    router.hold.set()
    assert len(await reader) == 100


async def test_a_slow_reader_holds_the_source_back(client):
    read = 0

    def source():
        nonlocal read
        for number in range(100):
            read += 1
            yield f"text {number}"

    stream = client.classify_stream(source(), max_in_flight=8)
    await anext(stream)
    await asyncio.sleep(0.3)
    assert read == 9
    assert len(await collect(stream)) == 99


async def test_failures_stand_in_their_place(client):
    answers = await collect(client.classify_stream(["a", "bad", "\ud800", "b"], max_in_flight=1))
    assert [isinstance(answer, ItemFailure) for _, answer in answers] == [False, True, True, False]


async def test_many_texts_that_cannot_be_sent_do_not_block_the_window(client):
    answers = await collect(client.classify_stream(["\ud800"] * 20, max_in_flight=2))
    assert len(answers) == 20
    assert all(isinstance(answer, ItemFailure) for _, answer in answers)


async def test_an_error_of_the_source_reaches_the_reader(client):
    def source():
        yield "a"
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        await collect(client.classify_stream(source()))


async def test_an_error_of_the_stream_is_the_routers_error(client, router):
    router.failures = [errors.UnknownRouteError("no such route")]
    with pytest.raises(errors.UnknownRouteError):
        await collect(client.classify_stream(["a"]))


async def test_a_stream_that_ends_early_is_an_error_not_a_short_answer(client, router):
    router.end_after = 3
    with pytest.raises(errors.RouterUnavailableError, match="send the rest again"):
        await collect(client.classify_stream([f"text {n}" for n in range(50)], max_in_flight=4))


async def test_a_text_the_router_never_answers_is_an_error_not_a_short_answer(client):
    with pytest.raises(errors.RouterUnavailableError, match="send the rest again"):
        await collect(client.classify_stream(["a", "lost", "b"]))


async def test_a_reader_that_stops_ends_the_call(client, router):
    router.hold.clear()
    stream = client.classify_stream(["a"] * 10)
    first = asyncio.create_task(anext(stream))
    await asyncio.sleep(0.1)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await stream.aclose()
    router.hold.set()
    assert (await client.classify("still there")).label == "still there"


async def test_a_timeout_bounds_the_whole_stream(client, router):
    router.hold.clear()
    with pytest.raises(errors.DeadlineError):
        await collect(client.classify_stream(["a"], timeout=0.2))
