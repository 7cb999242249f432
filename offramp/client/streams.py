"""One stream of texts to the router: bounded in flight, answers in order or as they come."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Coroutine,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import grpc

from offramp import errors
from offramp.client.batches import checked_input
from offramp.client.connection import Connection
from offramp.client.failures import error_of
from offramp.client.results import Classification, ItemFailure, Text
from offramp.client.wire import item_from_proto
from offramp.v1 import router_pb2

Texts = Iterable[Text] | AsyncIterable[Text]
Answer = tuple[int, Classification | ItemFailure]
Call = grpc.aio.StreamStreamCall[
    router_pb2.ClassifyStreamRequest, router_pb2.ClassifyStreamResponse
]
_END: Any = object()
# What gRPC says where a stream ended while a text was being written: the router's own status is
# lost with it (grpc.aio sets this one first and keeps it).
LOST_STATUS = "Internal error from Core"


class TextStream:
    """Sends texts while fewer than `max_in_flight` of them wait for an answer or for the reader."""

    def __init__(self, call: Call, connection: Connection, route: str, max_in_flight: int) -> None:
        self._call = call
        self._connection = connection
        self._address = connection.address
        self._route = route
        self._window = asyncio.Semaphore(max_in_flight)
        self._arrived: asyncio.Queue[Answer | Exception | None] = asyncio.Queue()
        self._open: set[int] = set()
        self._all_sent = False

    async def answers(
        self, texts: Texts, override: router_pb2.PolicyOverride | None, ordered: bool
    ) -> AsyncGenerator[Answer, None]:
        """Position and answer of each text; raises where the stream itself fails."""
        tasks = [
            asyncio.create_task(self._guarded(self._send(texts, override))),
            asyncio.create_task(self._guarded(self._receive())),
        ]
        waiting = InOrder() if ordered else AsTheyCome()
        try:
            while (arrived := await self._arrived.get()) is not None:
                if isinstance(arrived, Exception):
                    raise arrived
                for answer in waiting.released_by(arrived):
                    yield answer
                    self._window.release()
        finally:
            for task in tasks:
                task.cancel()
            self._call.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Run the sender or the receiver; what it raises goes to the reader of the answers."""
        try:
            with self._connection.until_closed():
                await work
        except grpc.aio.AioRpcError as failed:
            lost = failed.details() == LOST_STATUS
            self._arrived.put_nowait(
                self._broken_off() if lost else error_of(failed, self._address)
            )
        except Exception as error:
            self._arrived.put_nowait(error)

    async def _send(self, texts: Texts, override: router_pb2.PolicyOverride | None) -> None:
        position = 0
        async for text in _each(texts):
            await self._window.acquire()
            try:
                item = checked_input(text)
            except errors.InvalidRequestError as error:
                self._arrived.put_nowait((position, ItemFailure(error)))
            else:
                self._open.add(position)
                request = router_pb2.ClassifyStreamRequest(
                    id=str(position), route=self._route, input=item, override=override
                )
                if not await self._written(request):
                    return
            position += 1
        self._all_sent = True
        await self._call.done_writing()

    async def _written(self, request: router_pb2.ClassifyStreamRequest) -> bool:
        """Send a request; False where the call has ended, of which the receiver tells why."""
        try:
            await self._call.write(request)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return False
        return True

    async def _receive(self) -> None:
        async for response in self._call:
            position = int(response.id)
            self._open.discard(position)
            self._arrived.put_nowait((position, item_from_proto(response.result)))
        if self._open or not self._all_sent:
            raise self._broken_off()
        self._arrived.put_nowait(None)

    def _broken_off(self) -> errors.OfframpError:
        return errors.RouterUnavailableError(
            f"{self._address} ended the stream before it answered every text; send the rest again"
        )


class AsTheyCome:
    """Answers leave in the order in which they arrive."""

    def released_by(self, answer: Answer) -> Iterator[Answer]:
        """The answers that may leave now that this one is there."""
        yield answer


class InOrder:
    """Answers leave by position; an early one waits, and with it its place in flight."""

    def __init__(self) -> None:
        self._early: dict[int, Answer] = {}
        self._next = 0

    def released_by(self, answer: Answer) -> Iterator[Answer]:
        """The answers that may leave now that this one is there."""
        self._early[answer[0]] = answer
        while self._next in self._early:
            yield self._early.pop(self._next)
            self._next += 1


async def _each(texts: Texts) -> AsyncIterator[Text]:
    """Texts one by one; an iterator that may block (a file, a pipe) is read on a thread."""
    if isinstance(texts, AsyncIterable):
        async for text in texts:
            yield text
    elif isinstance(texts, Sequence):
        for text in texts:
            yield text
    else:
        async for text in _read_on_a_thread(iter(texts)):
            yield text


async def _read_on_a_thread(source: Iterator[Text]) -> AsyncIterator[Text]:
    """What an iterator gives that may block, one by one, as it is asked for.

    A thread that waits for its next text is left behind when nobody asks any more: a daemon's,
    which keeps neither the event loop nor the process from ending, as asyncio.to_thread's would.
    """
    loop = asyncio.get_running_loop()
    asked: SimpleQueue[asyncio.Future[Any] | None] = SimpleQueue()

    def read() -> None:
        while (answer := asked.get()) is not None:
            found, error = _END, None
            try:
                found = next(source, _END)
            except BaseException as raised:
                error = raised
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(_settle, answer, found, error)

    threading.Thread(target=read, name="offramp-texts", daemon=True).start()
    try:
        while True:
            answer = loop.create_future()
            asked.put(answer)
            if (text := await answer) is _END:
                return
            yield text
    finally:
        asked.put(None)


def _settle(answer: asyncio.Future[Any], found: Any, error: BaseException | None) -> None:
    if answer.done():  # nobody waits for it any more
        return
    if error is None:
        answer.set_result(found)
    else:
        answer.set_exception(error)
