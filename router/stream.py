"""The stream to a tier: what waits is written together, answers come back by id."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from typing import Protocol

import grpc

from offramp.errors import (
    DeadlineError,
    InvalidRequestError,
    OverloadedError,
    TierUnavailableError,
    Violation,
)
from offramp.rpc import wire
from offramp.v1 import common_pb2, tier_pb2
from router.flight import Content, Flight, Patience
from router.gathering import Gathering
from router.outbox import Outbox, longest_hold

# Contents of one message at the most, so that none takes long to write or read.
MAX_CONTENT_BYTES = 1024 * 1024
# Of what a tier takes in one message, this share may be contents: plans and ids come beside them.
CONTENT_SHARE = 0.5


class InferCall(Protocol):
    """The client's side of one Infer call, as grpc.aio has it."""

    def __aiter__(self) -> AsyncIterator[tier_pb2.InferResponse]:
        """Iterate over what the tier sends."""

    async def write(self, request: tier_pb2.InferRequest) -> None:
        """Send one message; returns when there is room for another."""

    def cancel(self) -> bool:
        """End the call."""


class InferStream:
    """Items in flight on one Infer call at a time; outlives the calls that carry them."""

    def __init__(self, name: str, max_in_flight: int, gathering: Gathering) -> None:
        self._name = name
        self._max_in_flight = max_in_flight
        self._gathering = gathering
        self._ids = itertools.count(1)
        self._flights: dict[int, Flight] = {}
        self._in_background = 0
        self._cancelled: list[int] = []
        self._wake = asyncio.Event()
        self._outbox = Outbox(gathering, self._wake.set)
        self._lost: str | None = "not connected yet"
        self._most_content = MAX_CONTENT_BYTES

    @property
    def in_flight(self) -> int:
        """Items that have no answer yet."""
        return len(self._flights)

    @property
    def available(self) -> bool:
        """Whether a call is open."""
        return self._lost is None

    def limit(self, max_message_bytes: int) -> None:
        """Send no larger messages: one that the tier does not take ends the call for everybody."""
        self._most_content = int(CONTENT_SHARE * max_message_bytes)

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

        Raises TierUnavailableError, OverloadedError, DeadlineError, InvalidRequestError where the
        tier takes no message of that size, or the item's own error.
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
        if (size := content.ByteSize()) > self._most_content:
            advice = (
                f"{size} bytes, tier {self._name!r} takes {self._most_content} at most; send a "
                "shorter text, or raise `server.max_message_bytes` in the tier's config"
            )
            raise InvalidRequestError([Violation("text", advice)])
        loop = asyncio.get_running_loop()
        go_by = loop.time() + longest_hold(patience.answer_by - time.monotonic())
        flight = Flight(
            next(self._ids), content, plan, patience, loop.create_future(), background, go_by
        )
        self._flights[flight.id] = flight
        if background:
            self._in_background += 1
        else:
            self._gathering.begin()
        self._outbox.put(flight)
        return flight

    def _drop(self, flight: Flight) -> None:
        """Forget an item; the tier is told where it still has it."""
        if self._landed(flight.id) is None:
            return
        if flight.sent:
            self._cancelled.append(flight.id)
            self._wake.set()
        else:
            self._outbox.withdraw(flight)

    def _landed(self, flight_id: int) -> Flight | None:
        """Take an item off those in flight; None where it was already."""
        flight = self._flights.pop(flight_id, None)
        if flight is not None:
            if flight.background:
                self._in_background -= 1
            else:
                self._gathering.end()
        self._outbox.answered(flight_id)
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
        self._outbox.clear()
        self._cancelled.clear()
        self._gathering.end(landed)

    async def _write(self, call: InferCall) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outbox.ready or self._cancelled:
                message = self._next_message()
                if message.items or message.cancelled_ids:
                    await call.write(message)

    def _next_message(self) -> tier_pb2.InferRequest:
        """All cancellations and, if items may go, as many as a message may hold."""
        message = tier_pb2.InferRequest(cancelled_ids=self._cancelled)
        self._cancelled.clear()
        if self._outbox.ready:
            now = time.monotonic()
            for flight in self._outbox.take(min(MAX_CONTENT_BYTES, self._most_content)):
                flight.sent = True
                message.items.append(flight.item(now))
        return message

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


def why(error: BaseException) -> str:
    """What an error says, in words: a gRPC error's details rather than all that it carries."""
    if isinstance(error, grpc.aio.AioRpcError):
        return error.details() or error.code().name
    return str(error) or type(error).__name__
