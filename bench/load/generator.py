"""Sends texts and notes what becomes of each: open loop at given times, or closed loop."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeAlias, TypeVar

from bench.load.arrivals import Times
from offramp.errors import OfframpError


class Answered(Protocol):
    """What the generator reads of an answer."""

    @property
    def label(self) -> str:
        """The label's name."""

    @property
    def exit(self) -> str:
        """Where the text left; empty where nobody says."""


# What is sent: a text, or what makes up a call of many.
Item = TypeVar("Item")
Ask: TypeAlias = Callable[[str], Awaitable[Answered]]


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one text. Times are in seconds from the start of the run.

    text: its place among the texts.  intended: when it was to be sent; sent: when it was; they
    differ where the generator itself fell behind.  label, exit: of the answer; error: the reason
    where there is none.
    """

    text: int
    intended: float
    sent: float
    done: float
    label: str = ""
    exit: str = ""
    error: str = ""

    @property
    def latency(self) -> float:
        """Seconds from the time it was intended to be sent, so that a stall counts for all."""
        return self.done - self.intended


class Generator(Generic[Item]):
    """Sends `texts` one by one, from the first again when they run out; `ask` gets the answers."""

    def __init__(self, ask: Callable[[Item], Awaitable[Answered]], texts: Sequence[Item]) -> None:
        self._ask = ask
        self._texts = texts
        self._began = 0.0

    async def open_loop(self, times: Times) -> list[Sent]:
        """Send one text at each time, however many answers are still out."""
        self._began = time.perf_counter()
        out = []
        for number, intended in enumerate(times.tolist()):
            wait = intended - self._now()
            if wait > 0:
                await asyncio.sleep(wait)
            out.append(asyncio.create_task(self._send(number, intended)))
        return list(await asyncio.gather(*out))

    async def closed_loop(self, in_flight: int, seconds: float) -> list[Sent]:
        """Keep so many texts in flight: each answer sends the next, until the time is over."""
        self._began = time.perf_counter()
        return await self._keep(
            in_flight, itertools.takewhile(lambda _: self._now() < seconds, itertools.count())
        )

    async def once(self, in_flight: int) -> list[Sent]:
        """Keep so many texts in flight until each was sent once, however long that takes."""
        self._began = time.perf_counter()
        return await self._keep(in_flight, iter(range(len(self._texts))))

    async def _keep(self, in_flight: int, numbers: Iterator[int]) -> list[Sent]:
        found: list[Sent] = []

        async def caller() -> None:
            for number in numbers:
                found.append(await self._send(number, self._now()))

        await asyncio.gather(*(caller() for _ in range(in_flight)))
        return found

    def _now(self) -> float:
        return time.perf_counter() - self._began

    async def _send(self, number: int, intended: float) -> Sent:
        text, sent = number % len(self._texts), self._now()
        try:
            answer = await self._ask(self._texts[text])
        except OfframpError as error:
            return Sent(text, intended, sent, self._now(), error=error.reason)
        return Sent(text, intended, sent, self._now(), answer.label, answer.exit)
