"""Messages to a tier: what waits for one, and for how long at the most."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvloop

from offramp.errors import DeadlineError, InvalidRequestError, TierUnavailableError
from offramp.v1 import common_pb2, tier_pb2
from router import gathering, outbox
from router.flight import Patience
from router.gathering import Gathering
from router.stream import InferStream


class Call:
    """The tier's side of a call: keeps what is written, answers what it is told to."""

    def __init__(self) -> None:
        self.messages: list[tier_pb2.InferRequest] = []
        self._answers: asyncio.Queue[tier_pb2.InferResponse] = asyncio.Queue()

    async def write(self, request: tier_pb2.InferRequest) -> None:
        self.messages.append(request)

    def __aiter__(self) -> AsyncIterator[tier_pb2.InferResponse]:
        return self

    async def __anext__(self) -> tier_pb2.InferResponse:
        return await self._answers.get()

    def cancel(self) -> bool:
        return True

    def answer(self, *ids: int) -> None:
        results = [tier_pb2.InferResult(id=i, answer=tier_pb2.InferAnswer()) for i in ids]
        self._answers.put_nowait(tier_pb2.InferResponse(results=results))

    @property
    def texts(self) -> list[list[str]]:
        """Of each message."""
        return [[item.input.text for item in message.items] for message in self.messages]


@pytest.fixture(autouse=True)
def no_limit(monkeypatch):
    """Unless a test says otherwise, what gathers waits for the tier, however long."""
    monkeypatch.setattr(outbox, "MOST_HELD_SECONDS", 3600.0)


def stream_to(tier: str, gathering: Gathering | None = None) -> InferStream:
    """A stream of a router that never waits for a processor, unless `gathering` says otherwise."""
    return InferStream(tier, 1000, gathering or Gathering(lambda: 0.0))


@asynccontextmanager
async def carried(gathering: Gathering | None = None):
    """A stream with a call that carries it."""
    stream, call = stream_to("small", gathering), Call()
    carrying = asyncio.create_task(stream.carry(call))
    await settled()
    try:
        yield stream, call
    finally:
        carrying.cancel()
        await asyncio.gather(carrying, return_exceptions=True)


async def settled() -> None:
    """Every task that can go on has."""
    for _ in range(10):
        await asyncio.sleep(0)


async def send(stream: InferStream, *texts: str, seconds: float = 60.0, background: bool = False):
    """A task for each text, under way."""
    until = time.monotonic() + seconds
    tasks = [
        asyncio.create_task(
            stream.infer(
                common_pb2.TextInput(text=text),
                common_pb2.ExitPlan(),
                Patience(until, until),
                background=background,
            )
        )
        for text in texts
    ]
    await settled()
    return tasks


async def test_what_comes_while_the_tier_is_at_work_shares_the_next_message():
    async with carried() as (stream, call):
        first = await send(stream, "a", "b")
        await send(stream, "c")
        await send(stream, "d")
        assert call.texts == [["a", "b"]]
        call.answer(2)  # one of the message is enough
        await settled()
        assert call.texts == [["a", "b"], ["c", "d"]]
        assert [task.done() for task in first] == [False, True]


async def test_no_message_outgrows_what_the_tier_takes():
    async with carried() as (stream, call):
        stream.limit(1000)
        await send(stream, "a")
        await send(stream, *("b" * 200 for _ in range(5)))
        call.answer(1)
        await settled()
        assert [len(texts) for texts in call.texts] == [1, 2]
        assert max(message.ByteSize() for message in call.messages) < 1000


async def test_text_that_no_message_can_hold_is_refused_and_the_stream_goes_on():
    async with carried() as (stream, call):
        stream.limit(1000)
        (refused,) = await send(stream, "x" * 1000)
        with pytest.raises(InvalidRequestError, match=r"raise `server.max_message_bytes`"):
            await refused
        (taken,) = await send(stream, "a")
        call.answer(1)
        await taken
        assert stream.in_flight == 0


async def test_a_tier_that_has_nothing_to_do_is_never_waited_for():
    async with carried() as (stream, call):
        for number, text in enumerate(("a", "b", "c"), start=1):
            (task,) = await send(stream, text)
            call.answer(number)
            await task
        assert call.texts == [["a"], ["b"], ["c"]]


async def test_answers_to_earlier_messages_hold_nothing_back_or_free():
    async with carried() as (stream, call):
        await send(stream, "a", "b")
        call.answer(1)
        await send(stream, "c")
        await send(stream, "d")
        call.answer(2)
        await settled()
        assert call.texts == [["a", "b"], ["c"]]
        call.answer(3)
        await settled()
        assert call.texts == [["a", "b"], ["c"], ["d"]]


async def test_a_full_message_goes_at_once(monkeypatch):
    monkeypatch.setattr(outbox, "MAX_ITEMS_PER_MESSAGE", 3)
    async with carried() as (stream, call):
        await send(stream, "a")
        await send(stream, "b", "c")
        assert call.texts == [["a"]]
        await send(stream, "d", "e")
        assert call.texts == [["a"], ["b", "c", "d"]]


async def test_a_tier_that_takes_long_is_waited_for_no_longer_than_the_limit(monkeypatch):
    monkeypatch.setattr(outbox, "MOST_HELD_SECONDS", 0.01)
    async with carried() as (stream, call):
        await send(stream, "a")
        await send(stream, "b")
        assert call.texts == [["a"]]
        async with asyncio.timeout(20):
            while len(call.messages) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert call.texts == [["a"], ["b"]]


async def test_a_cancellation_goes_at_once_and_frees_what_waited_for_its_item():
    async with carried() as (stream, call):
        tasks = await send(stream, "a", "b")
        await send(stream, "c")
        tasks[0].cancel()
        await settled()
        assert call.texts == [["a", "b"], ["c"]]
        assert list(call.messages[1].cancelled_ids) == [1]


async def test_the_cancellation_of_an_item_of_an_earlier_message_carries_nothing_else():
    async with carried() as (stream, call):
        tasks = await send(stream, "a", "b")
        call.answer(1)
        await send(stream, "c")
        await send(stream, "d")
        tasks[1].cancel()
        await settled()
        assert call.texts == [["a", "b"], ["c"], []]
        assert list(call.messages[2].cancelled_ids) == [2]


async def test_an_item_whose_time_is_up_frees_what_waited_for_it():
    async with carried() as (stream, call):
        (late,) = await send(stream, "a", seconds=0.02)
        await send(stream, "b")
        with pytest.raises(DeadlineError):
            await late
        await settled()
        assert call.texts == [["a"], ["b"]]


async def test_nothing_waits_for_an_audit():
    async with carried() as (stream, call):
        await send(stream, "audit", background=True)
        await send(stream, "a")
        assert call.texts == [["audit"], ["a"]]


@pytest.fixture
def short(monkeypatch):
    """What a router gathers whose processors are all busy: a quarter."""
    monkeypatch.setattr(gathering, "SHARE", 0.25)
    return Gathering(lambda: 0.5)


async def test_while_processors_are_short_a_share_of_what_is_under_way_gathers(short):
    short.under_way = 5  # at other tiers
    async with carried(short) as (stream, call):
        await send(stream, "a")
        assert call.texts == []
        await send(stream, "b")
        assert call.texts == [["a", "b"]]
        call.answer(1)  # eight will be under way, two of them gather
        await send(stream, "c")
        assert call.texts == [["a", "b"]]
        await send(stream, "d")
        assert call.texts == [["a", "b"], ["c", "d"]]


async def test_one_text_alone_waits_for_nobody_however_short_processors_are(short):
    async with carried(short) as (stream, call):
        (task,) = await send(stream, "a")
        call.answer(1)
        await task
        assert call.texts == [["a"]]
        assert short.under_way == 0


async def test_what_gathers_waits_no_longer_than_the_limit(short, monkeypatch):
    monkeypatch.setattr(outbox, "MOST_HELD_SECONDS", 0.01)
    short.under_way = 100
    async with carried(short) as (stream, call):
        await send(stream, "a")
        async with asyncio.timeout(20):
            while not call.messages:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert call.texts == [["a"]]


async def test_a_text_with_little_time_waits_for_no_company(short):
    short.under_way = 100
    async with carried(short) as (stream, call):
        await send(stream, "a", seconds=3600.0)
        await send(stream, "b", seconds=5.0)  # a tenth of it is far less than an hour
        async with asyncio.timeout(20):
            while not call.messages:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert call.texts == [["a", "b"]]


async def test_what_gathers_goes_as_soon_as_nobody_else_is_under_way(short):
    for _ in range(4):  # at other tiers
        short.begin()
    async with carried(short) as (stream, call):
        await send(stream, "a")
        assert call.texts == []
        short.end()
        await settled()
        assert call.texts == [["a"]]


async def test_who_gave_up_is_no_company(short):
    short.under_way = 6
    async with carried(short) as (stream, call):
        (gone,) = await send(stream, "gone")
        gone.cancel()
        await settled()
        await send(stream, "a")
        assert call.texts == []
        await send(stream, "b")
        assert call.texts == [["a", "b"]]
        assert not call.messages[0].cancelled_ids  # the tier never heard of it


def test_texts_whose_time_is_up_are_refused_one_and_all_on_the_loop_that_serves():
    """On uvloop what is to be done at once has no time at which it is due."""

    async def main() -> list[BaseException]:
        async with carried() as (stream, _):
            tasks = await send(stream, *"abcdef", seconds=0.0)
            return [e for e in await asyncio.gather(*tasks, return_exceptions=True) if e]

    assert [type(error) for error in uvloop.run(main())] == [DeadlineError] * 6


async def test_what_is_cancelled_lost_or_an_audit_is_not_under_way(short):
    short.under_way = 3
    async with carried(short) as (stream, _):
        await send(stream, "audit", background=True)
        tasks = await send(stream, "a", "b")
        assert short.under_way == 5
        tasks[0].cancel()
        await settled()
        assert short.under_way == 4
    await asyncio.gather(*tasks, return_exceptions=True)
    assert short.under_way == 3


async def test_after_a_loss_the_next_call_begins_afresh():
    stream, call = stream_to("small"), Call()
    carrying = asyncio.create_task(stream.carry(call))
    await settled()
    tasks = await send(stream, "a")
    tasks += await send(stream, "b")
    carrying.cancel()
    for found in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(found, TierUnavailableError)
    again = Call()
    carrying = asyncio.create_task(stream.carry(again))
    await settled()
    await send(stream, "c")
    assert again.texts == [["c"]]
    carrying.cancel()
    await asyncio.gather(carrying, return_exceptions=True)
