"""The stream to a tier: what waits is written together, answers come back by id.

Nagle's rule (RFC 896) forms the messages: what comes while the tier has not answered any item of
the last message gathers for the next one, so that the busier router and tier are, the more items
share a message, and with it a batch. Where processors are short, more gather (`gathering.py`).
Nothing waits for a tier that has nothing to do while a processor is idle.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import grpc

from offramp.errors import DeadlineError, OverloadedError, TierUnavailableError
from offramp.rpc import wire
from offramp.v1 import common_pb2, tier_pb2
from router.gathering import Gathering

MAX_ITEMS_PER_MESSAGE = 256
MAX_BYTES_PER_MESSAGE = 1024 * 1024
# The first item of a message waits so long at the most: a tier may take longer for a hard text.
MOST_HELD_SECONDS = 0.02
# And no item longer than this share of the time that it has.
MOST_HELD_SHARE = 0.1
MAX_TIMEOUT_MS = 2**32 - 1


# What a tier is sent of a text: itself, or what another tier has made of it.
Content: TypeAlias = common_pb2.TextInput | tier_pb2.TokenizedText


class InferCall(Protocol):
    """The client's side of one Infer call, as grpc.aio has it."""

    def __aiter__(self) -> AsyncIterator[tier_pb2.InferResponse]:
        """Iterate over what the tier sends."""

    async def write(self, request: tier_pb2.InferRequest) -> None:
        """Send one message; returns when there is room for another."""

    def cancel(self) -> bool:
        """End the call."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Instants, by time.monotonic: when a tier should send its best, when to stop waiting."""

    answer_by: float
    give_up_at: float


@dataclass(slots=True, eq=False)
class Flight:
    """One item under way. go_by: until when it may wait for company, on the event loop's clock."""

    id: int
    content: Content
    plan: common_pb2.ExitPlan
    patience: Patience
    future: asyncio.Future[tier_pb2.InferAnswer]
    background: bool
    go_by: float
    sent: bool = False


class InferStream:
    """Items in flight on one Infer call at a time; outlives the calls that carry them."""

    def __init__(self, name: str, max_in_flight: int, gathering: Gathering) -> None:
        self._name = name
        self._max_in_flight = max_in_flight
        self._gathering = gathering
        self._ids = itertools.count(1)
        self._flights: dict[int, Flight] = {}
        self._in_background = 0
        self._waiting: deque[Flight] = deque()
        self._cancelled: list[int] = []
        # Items of the last message, as long as the tier has answered none of them.
        self._unanswered: frozenset[int] = frozenset()
        # When the first of the items that wait has waited for long enough, whether it has, and what
        # will say so.
        self._due_at = math.inf
        self._overdue = False
        self._timer: asyncio.Handle | None = None
        self._wake = asyncio.Event()
        self._lost: str | None = "not connected yet"
        gathering.watch(self._look)

    @property
    def in_flight(self) -> int:
        """Items that have no answer yet."""
        return len(self._flights)

    @property
    def available(self) -> bool:
        """Whether a call is open."""
        return self._lost is None

    async def infer(
        self,
        content: Content,
        plan: common_pb2.ExitPlan,
        patience: Patience,
        *,
        background: bool = False,
    ) -> tier_pb2.InferAnswer:
        """Run one item; cancelling takes it out of the tier's queue.

        background: only where the tier has nothing else to do; takes no place of another item.

        Raises TierUnavailableError, OverloadedError, DeadlineError, or the item's own error.
        """
        flight = self._admit(content, plan, patience, background)
        left = max(0.0, patience.give_up_at - time.monotonic())
        timer = asyncio.get_running_loop().call_later(left, self._expire, flight)
        try:
            return await flight.future
        finally:
            timer.cancel()
            self._drop(flight)

    def _admit(
        self,
        content: Content,
        plan: common_pb2.ExitPlan,
        patience: Patience,
        background: bool,
    ) -> Flight:
        if self._lost is not None:
            raise TierUnavailableError(f"tier {self._name!r} is out of reach: {self._lost}")
        if not background and len(self._flights) - self._in_background >= self._max_in_flight:
            raise OverloadedError(
                f"{self._max_in_flight} items are in flight to tier {self._name!r}; try again soon"
            )
        loop = asyncio.get_running_loop()
        left = max(0.0, patience.answer_by - time.monotonic())
        go_by = loop.time() + min(MOST_HELD_SECONDS, MOST_HELD_SHARE * left)
        flight = Flight(
            next(self._ids), content, plan, patience, loop.create_future(), background, go_by
        )
        self._flights[flight.id] = flight
        if background:
            self._in_background += 1
        else:
            self._gathering.begin()
        self._waiting.append(flight)
        self._go_by(go_by)
        self._look()
        return flight

    def _drop(self, flight: Flight) -> None:
        """Forget an item; the tier is told where it still has it."""
        if self._landed(flight.id) is None:
            return
        if flight.sent:
            self._cancelled.append(flight.id)
            self._wake.set()
        else:
            with contextlib.suppress(ValueError):  # its time was up when its message was written
                self._waiting.remove(flight)
            self._gather()

    def _landed(self, flight_id: int) -> Flight | None:
        """Take an item off those in flight; None where it was already."""
        flight = self._flights.pop(flight_id, None)
        if flight is not None:
            if flight.background:
                self._in_background -= 1
            else:
                self._gathering.end()
        if flight_id in self._unanswered:
            self._unanswered = frozenset()
            self._look()
        return flight

    def _expire(self, flight: Flight) -> None:
        if not flight.future.done():
            message = f"tier {self._name!r} gave no answer before the deadline; allow more time"
            flight.future.set_exception(DeadlineError(message))

    async def carry(self, call: InferCall) -> None:
        """Serve items over a call until it ends or this is cancelled.

        What is in flight then fails with TierUnavailableError. Returns when the tier ends the call;
        raises what the call raises.
        """
        self._lost = None
        tasks = [asyncio.create_task(self._read(call)), asyncio.create_task(self._write(call))]
        reason = "the router is stopping"
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            reason = "it ended the stream"
            for task in done:
                task.result()
        except Exception as error:
            reason = why(error)
            raise
        finally:
            self._lose(reason)
            call.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _lose(self, reason: str) -> None:
        self._lost = reason
        for flight in self._flights.values():
            if not flight.future.done():
                message = f"tier {self._name!r} was lost: {reason}"
                flight.future.set_exception(TierUnavailableError(message))
        landed = len(self._flights) - self._in_background
        self._flights.clear()
        self._in_background = 0
        self._waiting.clear()
        self._cancelled.clear()
        self._unanswered = frozenset()
        self._gather()
        self._gathering.end(landed)

    async def _write(self, call: InferCall) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while (items_go := self._items_may_go()) or self._cancelled:
                message = self._next_message(items_go)
                if message.items or message.cancelled_ids:
                    await call.write(message)

    def _items_may_go(self) -> bool:
        """Whether what waits is to wait no longer."""
        count = len(self._waiting)
        if self._overdue or count >= MAX_ITEMS_PER_MESSAGE:
            return count > 0
        return not self._unanswered and count >= self._gathering.enough()

    def _look(self) -> None:
        """See whether what waits may go."""
        if self._items_may_go():
            self._wake.set()

    def _next_message(self, items_go: bool) -> tier_pb2.InferRequest:
        """All cancellations and, if items go, as many as a message may hold."""
        message = tier_pb2.InferRequest(cancelled_ids=self._cancelled)
        self._cancelled.clear()
        if not items_go:
            return message
        now, size = time.monotonic(), 0
        while self._waiting and len(message.items) < MAX_ITEMS_PER_MESSAGE:
            flight = self._waiting[0]
            size += flight.content.ByteSize()
            if message.items and size > MAX_BYTES_PER_MESSAGE:
                break
            self._waiting.popleft()
            if not flight.future.done():
                flight.sent = True
                message.items.append(_item(flight, now))
        # An audit is answered when nothing else is to be: nothing waits for that.
        if message.items:
            self._unanswered = frozenset(item.id for item in message.items if not item.background)
        self._gather()
        return message

    def _gather(self) -> None:
        """Wait no longer than what waits now may."""
        if self._timer is not None:
            self._timer.cancel()
        self._due_at, self._overdue, self._timer = math.inf, False, None
        if self._waiting:
            self._go_by(min(flight.go_by for flight in self._waiting))

    def _go_by(self, when: float) -> None:
        """Let what waits go then at the latest, on the event loop's clock."""
        if when < self._due_at:
            if self._timer is not None:
                self._timer.cancel()
            self._due_at = when
            self._timer = asyncio.get_running_loop().call_at(when, self._due)

    def _due(self) -> None:
        self._overdue = True
        self._wake.set()

    async def _read(self, call: InferCall) -> None:
        async for response in call:
            for result in response.results:
                self._settle(result)

    def _settle(self, result: tier_pb2.InferResult) -> None:
        flight = self._landed(result.id)
        if flight is None or flight.future.done():
            return  # its caller is gone
        if result.HasField("answer"):
            flight.future.set_result(result.answer)
        else:
            flight.future.set_exception(wire.error_from_item(result.error))


def _item(flight: Flight, now: float) -> tier_pb2.InferItem:
    left = int((flight.patience.answer_by - now) * 1000)
    item = tier_pb2.InferItem(
        id=flight.id,
        plan=flight.plan,
        timeout_ms=max(1, min(left, MAX_TIMEOUT_MS)),
        background=flight.background,
    )
    if isinstance(flight.content, common_pb2.TextInput):
        item.input.CopyFrom(flight.content)
    else:
        item.tokenized.CopyFrom(flight.content)
    return item


def why(error: BaseException) -> str:
    """What an error says, in words: a gRPC error's details rather than all that it carries."""
    if isinstance(error, grpc.aio.AioRpcError):
        return error.details() or error.code().name
    return str(error) or type(error).__name__
