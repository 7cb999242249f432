"""A server for asyncio handlers, at a third of what a call of grpc.aio's own costs.

grpc.aio waits for gRPC's core on a thread of its own that writes a byte to a socket for each event,
makes two tasks and a handful of futures for a call, and takes in one call per turn of the event
loop. Here the thread of the completion queue prepares a call as far as its first message and hands
it to the event loop, together with all others that have come meanwhile (`python -m bench.hops`).

It stands on `cygrpc`, the layer below both of gRPC's servers for Python. That is no public
interface, so pyproject.toml pins grpcio to what tests/integration/test_server.py has seen; they
hold this server to what grpc.aio's does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeAlias

import grpc

from offramp.rpc.call import NO_FLAGS, Call, cygrpc

log = logging.getLogger(__name__)

GenericHandler: TypeAlias = "grpc.GenericRpcHandler[Any, Any]"

# How long a handler may take to end after its call.
MOST_HANDLER_SECONDS = 5.0


class Server(grpc.aio.Server):
    """What grpc.aio.server() makes, as far as servers here need it.

    Handlers are coroutine functions or asynchronous generators of all four kinds of methods.

    wrap: puts something around the handler of a method, given by its path.
    options: of gRPC's core, as pairs.
    """

    def __init__(
        self, wrap: Callable[[str, Any], Any], options: Sequence[tuple[str, Any]] = ()
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self._wrap = wrap
        self._completions = cygrpc.CompletionQueue()
        self._core = cygrpc.Server(tuple(options), False)
        self._core.register_completion_queue(self._completions)
        self._generic_handlers: list[GenericHandler] = []
        self._methods: dict[bytes, Any] = {}
        self._thread = threading.Thread(target=self._serve, name="grpc-server", daemon=True)
        self._begun: set[Call] = set()
        self._due: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._woken = False
        self._started = False
        self.closed = False
        self._stopped: asyncio.Future[None] = self.loop.create_future()
        self._shut_down: asyncio.Future[None] | None = None

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[GenericHandler]) -> None:
        """Serve the methods that these know; the first one that knows a method has it."""
        self._generic_handlers.extend(generic_rpc_handlers)

    def add_registered_method_handlers(self, service_name: str, method_handlers: Any) -> None:
        """Nothing: methods are found by name."""

    def add_insecure_port(self, address: str) -> int:
        """Listen; returns the port. Raises RuntimeError where that cannot be."""
        return self._bound(address, self._core.add_http2_port(address.encode()))

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> int:
        """Listen with TLS; returns the port. Raises RuntimeError where that cannot be."""
        credentials = vars(server_credentials)["_credentials"]
        return self._bound(address, self._core.add_http2_port(address.encode(), credentials))

    @staticmethod
    def _bound(address: str, port: int) -> int:
        if port == 0:
            raise RuntimeError(f"cannot listen on {address}")
        return port

    async def start(self) -> None:
        """Begin to take calls in."""
        self._core.start()
        self._started = True
        self._request_call()
        self._thread.start()

    async def stop(self, grace: float | None = None) -> None:
        """Refuse new calls; cancel those that have not ended after `grace` seconds. Idempotent."""
        if not self._started:
            return
        if self._shut_down is None:
            self._shut_down = self.loop.create_future()
            self._core.shutdown(self._completions, self._on_shutdown)
        await asyncio.wait([self._shut_down], timeout=grace or 0)
        if not self._shut_down.done():
            self._core.cancel_all_calls()
        await asyncio.wait([self._shut_down])
        await self._handlers_end()
        if not self._stopped.done():
            self.closed = True
            self._completions.shutdown()
            await asyncio.to_thread(self._thread.join)
            self._core.destroy()
            if not self._stopped.done():
                self._stopped.set_result(None)

    async def _handlers_end(self) -> None:
        """Wait for handlers, whose calls are over; not for ever, should one not be cancelled."""
        tasks = [call.task for call in self._begun if call.task]
        if tasks:
            _, stubborn = await asyncio.wait(tasks, timeout=MOST_HANDLER_SECONDS)
            if stubborn:
                log.error("%s handlers go on although their calls are cancelled", len(stubborn))

    async def wait_for_termination(self, timeout: float | None = None) -> bool:
        """Wait until the server has stopped; whether the time ran out before."""
        _, waiting = await asyncio.wait([self._stopped], timeout=timeout)
        return bool(waiting)

    def soon(self, act: Callable[..., None], *arguments: Any) -> None:
        """Have the event loop call something, once for all that comes before its next turn."""
        self._due.append((act, arguments))
        if not self._woken:
            self._woken = True
            try:
                self.loop.call_soon_threadsafe(self._turn)
            except RuntimeError:  # the loop is closed: nobody is left to answer
                self._due.clear()

    def _turn(self) -> None:
        """On the event loop."""
        self._woken = False
        while self._due:
            act, arguments = self._due.popleft()
            try:
                act(*arguments)
            except Exception:  # what comes behind it is due too
                log.exception("a call of %s failed", act)

    def begin(self, call: Call) -> None:
        """Have a call's handler answer it.

        All that have come begin at once, so that the service knows of all and may refuse some.
        """
        if not call.cancelled():
            self._begun.add(call)
            call.task = self.loop.create_task(call.serve())
            # Not at the end of `serve`: a task that is cancelled at once never begins.
            call.task.add_done_callback(partial(self._forget, call))

    def _forget(self, call: Call, task: asyncio.Task[None]) -> None:
        call.task = None  # a cycle less for the garbage collector, which runs rarely
        self._begun.discard(call)

    # On the server's thread.

    def _serve(self) -> None:
        while True:
            event = self._completions.poll()
            if event.completion_type == cygrpc.CompletionType.queue_shutdown:
                return
            try:
                event.tag(event)
            except Exception:  # or nobody would be served any more
                log.exception("an event of gRPC could not be handled")
            del event  # it may hold the last reference to a call that is over

    def _request_call(self) -> None:
        if self.loop.is_closed():
            return
        with contextlib.suppress(ValueError):  # shutting down
            self._core.request_call(self._completions, self._completions, self._on_call)

    def _on_call(self, event: Any) -> None:
        if not event.success:
            return
        self._request_call()
        handler = self._handler(event)
        if handler is None:
            _refuse(event.call)
        else:
            Call(self, event, handler).receive()

    def _on_shutdown(self, event: Any) -> None:
        if self._shut_down is not None:
            self.soon(self._shut_down.set_result, None)

    def _handler(self, event: Any) -> Any:
        method = event.call_details.method
        found = self._methods.get(method)
        if found is None:
            path = method.decode(errors="replace")
            details = _Details(path, event.invocation_metadata)
            handlers = (generic.service(details) for generic in self._generic_handlers)
            found = next((handler for handler in handlers if handler), None)
            if found is not None:
                found = self._methods[method] = self._wrap(path, found)
        return found


class _Details(grpc.HandlerCallDetails):
    """What a generic handler is asked by."""

    def __init__(self, method: str, invocation_metadata: Any) -> None:
        self.method = method
        self.invocation_metadata = invocation_metadata


def _refuse(call: Any) -> None:
    code = grpc.StatusCode.UNIMPLEMENTED.value[0]
    operations = (
        cygrpc.SendInitialMetadataOperation((), NO_FLAGS),
        cygrpc.ReceiveCloseOnServerOperation(NO_FLAGS),
        cygrpc.SendStatusFromServerOperation((), code, b"Method not found!", NO_FLAGS),
    )
    call.start_server_batch(operations, lambda event: None)
