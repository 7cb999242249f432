"""One call that a server has received: its messages, its answer, its end."""

from __future__ import annotations

import asyncio
import importlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import grpc

log = logging.getLogger(__name__)

# Which the type information does not mention.
cygrpc: Any = importlib.import_module("grpc._cython.cygrpc")
EOF: Any = vars(grpc.aio)["EOF"]

# Seconds since 1970 from which on a deadline is none.
NEVER = 1e17
NO_FLAGS = 0

if TYPE_CHECKING:
    ServicerContext = grpc.aio.ServicerContext[Any, Any]
else:
    ServicerContext = grpc.aio.ServicerContext


class Host(Protocol):
    """What a call needs of its server."""

    loop: asyncio.AbstractEventLoop
    # Whether the completion queue is shut: gRPC's core ends a process that still uses it.
    closed: bool

    def soon(self, act: Any, *arguments: Any) -> None:
        """Have the event loop do something; may be called on any thread."""

    def begin(self, call: Call) -> None:
        """Have a call's handler answer it."""


class Call(ServicerContext):
    """A call of one method, and the context that its handler sees.

    What gRPC has done it says on the server's thread (`_on_…`), which hands it to the event loop;
    what handlers call is the event loop's.

    event: of the completion queue, that the call has come.
    """

    def __init__(self, host: Host, event: Any, handler: Any) -> None:
        self._host = host
        self._call = event.call
        self._details = event.call_details
        self._metadata = event.invocation_metadata
        self._handler = handler
        # The one message that was received and not yet read, and whether none will follow.
        self._received: bytes | None = None
        self._no_more = not handler.request_streaming
        self._reader: asyncio.Future[None] | None = None
        self._unsent = False
        self._writer: asyncio.Future[None] | None = None
        self._greeted = False
        self._over = False
        self._gone = False
        self._code: Any = None
        self._words = ""
        self._trailing: tuple[Any, ...] = ()
        self._done_callbacks: list[Any] = []
        self.task: asyncio.Task[None] | None = None

    # On either thread.

    def _operate(self, operations: tuple[Any, ...], done: Callable[[Any], None]) -> None:
        if not self._host.closed:
            self._call.start_server_batch(operations, done)

    def _receive_message(self) -> None:
        self._operate((cygrpc.ReceiveMessageOperation(NO_FLAGS),), self._on_message)

    # On the server's thread.

    def receive(self) -> None:
        """Ask gRPC for the call's end and its first message; begin as soon as that may be."""
        self._operate((cygrpc.ReceiveCloseOnServerOperation(NO_FLAGS),), self._on_close)
        self._receive_message()
        if self._handler.request_streaming:
            self._host.soon(self._host.begin, self)

    def _on_message(self, event: Any) -> None:
        message = event.batch_operations[0].message()
        if self._handler.request_streaming:
            self._host.soon(self._take, message)
        else:
            self._received = message
            self._host.soon(self._host.begin, self)

    def _on_close(self, event: Any) -> None:
        if event.batch_operations[0].cancelled():
            self._host.soon(self._leave)

    def _on_sent(self, event: Any) -> None:
        self._unsent = False
        writer = self._writer
        if writer is not None:
            self._host.soon(_settle, writer)

    # On the event loop.

    async def serve(self) -> None:
        """Have the handler answer, whatever it does: in the end the call is over."""
        try:
            await self._answer()
        except grpc.aio.AbortError:
            pass
        except asyncio.CancelledError:
            self._end(grpc.StatusCode.CANCELLED, "the server has given the call up")
        except Exception:
            log.exception("%s failed", self._details.method.decode(errors="replace"))
            self._trailing = ()  # which may be what failed
            self._end(grpc.StatusCode.UNKNOWN, "the server failed; its log has the details")
        finally:
            for callback in self._done_callbacks:
                self._host.soon(callback, self)

    async def _answer(self) -> None:
        handler = self._handler
        if handler.request_streaming:
            request: Any = self._requests()
        elif self._received is None:
            self._end(grpc.StatusCode.UNIMPLEMENTED, "the call has no message")
            return
        else:
            request = self._decoded(self._received)
            self._received = None
        if not handler.response_streaming:
            behaviour = handler.stream_unary if handler.request_streaming else handler.unary_unary
            response = await behaviour(request, self)
            self._end(self._code or grpc.StatusCode.OK, self._words, response)
            return
        behaviour = handler.stream_stream if handler.request_streaming else handler.unary_stream
        answers = behaviour(request, self)
        if hasattr(answers, "__aiter__"):
            async with aclosing(answers):
                async for response in answers:
                    await self.write(response)
        else:
            await answers
        await self._until_sent()
        self._end(self._code or grpc.StatusCode.OK, self._words)

    async def _requests(self) -> AsyncIterator[Any]:
        while (request := await self.read()) is not EOF:
            yield request

    def _take(self, message: bytes | None) -> None:
        self._received = message
        self._no_more = message is None
        if self._reader is not None:
            _settle(self._reader)

    def _leave(self) -> None:
        """The client is gone, or its deadline has passed."""
        self._gone = self._over = True
        if self.task is not None:
            self.task.cancel()

    async def read(self) -> Any:
        """The next message, or grpc.aio.EOF. Raises UsageError where it is read already."""
        self._check_open()
        while self._received is None and not self._no_more:
            self._reader = self._sole_waiter(self._reader)
            await self._reader
            self._check_open()
        if self._received is None:
            return EOF
        message, self._received = self._received, None
        self._receive_message()
        return self._decoded(message)

    async def write(self, message: Any) -> None:
        """Send a message. gRPC takes one at a time: waits until it has taken the last one."""
        if not self._handler.response_streaming:
            raise grpc.aio.UsageError("the one answer of this method is what its handler returns")
        data = self._encoded(message)
        self._check_open()
        await self._until_sent()
        self._check_open()
        self._unsent = True
        self._send((cygrpc.SendMessageOperation(data, NO_FLAGS),), self._on_sent)

    async def _until_sent(self) -> None:
        while self._unsent:
            self._writer = self._sole_waiter(self._writer)
            if self._unsent:  # still, now that the server's thread can see who waits
                await self._writer
            self._writer = None

    async def send_initial_metadata(self, initial_metadata: Any) -> None:
        """Send what stands before the first message. Raises UsageError where that went out."""
        self._check_open()
        if self._greeted:
            raise grpc.aio.UsageError("initial metadata has been sent")
        self._send((), _nothing, tuple(initial_metadata))

    async def abort(self, code: Any, details: str = "", trailing_metadata: Any = ()) -> NoReturn:
        """End the call with an error; raises AbortError, which ends its handler."""
        self._trailing = tuple(trailing_metadata) or self._trailing
        self._end(code, details or self._words)
        raise grpc.aio.AbortError("the call has ended")

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """`abort`, as a status says."""
        await self.abort(status.code, status.details, status.trailing_metadata or ())

    def _end(self, code: Any, details: str, response: Any = None) -> None:
        """Send the status, once, behind the response of a unary one."""
        if self._over:
            return
        number = code if isinstance(code, int) else code.value[0]
        operations: list[Any] = []
        if number == 0 and not self._handler.response_streaming:
            operations.append(cygrpc.SendMessageOperation(self._encoded(response), NO_FLAGS))
        words = details.encode(errors="replace")
        operations.append(
            cygrpc.SendStatusFromServerOperation(self._trailing, number, words, NO_FLAGS)
        )
        self._send(tuple(operations), _nothing)
        self._code, self._words, self._over = code, details, True

    def _send(
        self,
        operations: tuple[Any, ...],
        done: Callable[[Any], None],
        metadata: tuple[Any, ...] = (),
    ) -> None:
        """Send something, behind the initial metadata where they have not gone out."""
        if not self._greeted:
            operations = (cygrpc.SendInitialMetadataOperation(metadata, NO_FLAGS), *operations)
        self._operate(operations, done)
        self._greeted = True

    def _sole_waiter(self, waiter: asyncio.Future[None] | None) -> asyncio.Future[None]:
        if waiter is not None and not waiter.done():
            raise grpc.aio.UsageError("one at a time reads a call, and one writes to it")
        return self._host.loop.create_future()

    def _check_open(self) -> None:
        if self._gone:
            raise asyncio.CancelledError
        if self._over:
            raise grpc.aio.UsageError("the call is over")

    def _decoded(self, data: bytes) -> Any:
        decode = self._handler.request_deserializer
        return decode(data) if decode else data

    def _encoded(self, message: Any) -> Any:
        encode = self._handler.response_serializer
        return encode(message) if encode else message

    # What the handler may ask and set.

    def time_remaining(self) -> Any:
        """Seconds until the deadline; None where there is none."""
        deadline = self._details.deadline
        return None if deadline > NEVER else max(deadline - time.time(), 0.0)

    def invocation_metadata(self) -> Any:
        """What the client sent before its first message."""
        return self._metadata

    def peer(self) -> str:
        """The client's address."""
        peer: str = self._call.peer().decode()
        return peer

    def peer_identities(self) -> Iterable[bytes] | None:
        """Who a client that has a certificate is."""
        found: Iterable[bytes] | None = cygrpc.peer_identities(self._call)
        return found

    def peer_identity_key(self) -> str | None:
        """Which property of `auth_context` says so."""
        key = cygrpc.peer_identity_key(self._call)
        return key.decode() if key else None

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """What the connection is known by."""
        found = cygrpc.auth_context(self._call) or {}
        return {key.decode(): values for key, values in found.items()}

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        """To go out with the status."""
        self._trailing = tuple(trailing_metadata)

    def trailing_metadata(self) -> Any:
        """What was set."""
        return self._trailing

    def set_code(self, code: Any) -> None:
        """The status of a call that returns."""
        self._code = code

    def code(self) -> Any:
        """The status as it was set or sent."""
        return self._code

    def set_details(self, details: str) -> None:
        """The words of the status."""
        self._words = details

    def details(self) -> str:
        """The words as they were set or sent."""
        return self._words

    def set_compression(self, compression: grpc.Compression) -> None:
        """Ignored: texts and probabilities are a few hundred bytes."""

    def disable_next_message_compression(self) -> None:
        """As no message is compressed."""

    def add_done_callback(self, callback: Any) -> None:
        """Have `callback(context)` called when the handler has ended."""
        self._done_callbacks.append(callback)

    def cancelled(self) -> bool:
        """Whether the client is gone or its deadline has passed."""
        return self._gone

    def done(self) -> bool:
        """Whether the call is over."""
        return self._over


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _nothing(event: Any) -> None:
    """For operations that nobody waits for."""
