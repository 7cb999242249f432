"""The client for code that does not await: `AsyncClient`, run on an event loop of its own."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeVar

from offramp import errors
from offramp.client.admin import AsyncAdmin
from offramp.client.asynchronous import DEFAULT_ADDRESS, AsyncClient
from offramp.client.connection import CLOSED, DEFAULT_RETRIES, Retries, Tls

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Target = TypeVar("Target")
_END: Any = object()
CANCEL_SECONDS = 1.0


class LoopThread:
    """An event loop on a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="offramp-client", daemon=True
        )
        # Reentrant: an iterator that is dropped runs its last call in whatever its thread is at.
        self._lock = threading.RLock()
        self._closed = False
        self._unwatched: set[asyncio.Task[None]] = set()
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Wait for a coroutine; an interrupt here cancels it there, and waits until it is gone.

        Raises ClientClosedError where the loop is closed, or is while the coroutine runs.
        """
        gone = threading.Event()

        async def until_gone() -> Result:
            try:
                return await work
            finally:
                gone.set()

        with self._lock:
            if self._closed:
                work.close()
                raise errors.ClientClosedError(CLOSED)
            future = asyncio.run_coroutine_threadsafe(until_gone(), self._loop)
        try:
            return future.result()
        except CancelledError:  # by `close`: nobody else cancels what is waited for here
            raise errors.ClientClosedError(CLOSED) from None
        except BaseException:
            future.cancel()
            gone.wait(CANCEL_SECONDS)
            raise

    def end(self, work: Coroutine[Any, Any, None]) -> None:
        """Run what ends an iterator that is dropped, on whatever thread, and wait for it.

        The garbage collector may drop one on the loop's own thread, which cannot wait for itself.
        """
        if threading.current_thread() is not self._thread:
            with suppress(errors.ClientClosedError):
                self.run(work)
        elif self._loop.is_running():
            task = self._loop.create_task(work)
            self._unwatched.add(task)
            task.add_done_callback(self._unwatched.discard)
        else:
            work.close()

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Cancel all that is under way, run `last`, stop loop and thread. Again is harmless."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            ended = asyncio.run_coroutine_threadsafe(self._end(last()), self._loop)
            self._thread.join()
            self._loop.close()
            ended.result()

    async def _end(self, last: Coroutine[Any, Any, None]) -> None:
        # The threads that wait for these would wait for ever once the loop has stopped. A stream
        # that nobody is reading needs no end of its own: its call ends with the channel.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        try:
            await asyncio.gather(*others, return_exceptions=True)
            await last
        finally:
            self._loop.call_soon(self._loop.stop)


class Face(Protocol[Target]):
    """A blocking face of `Target`: the object behind it, and the loop that it lives on."""

    _behind: Target
    _thread: LoopThread


def blocking(
    method: Callable[Concatenate[Target, Parameters], Coroutine[Any, Any, Result]],
) -> Callable[Concatenate[Any, Parameters], Result]:
    """The same method, waited for."""

    @functools.wraps(method)
    def call(self: Face[Target], /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        return self._thread.run(method(self._behind, *args, **kwargs))

    return call


def iterating(
    method: Callable[Concatenate[Target, Parameters], AsyncGenerator[Result, None]],
) -> Callable[Concatenate[Any, Parameters], Iterator[Result]]:
    """The same stream, as an iterator that waits for each item."""

    @functools.wraps(method)
    def call(
        self: Face[Target], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Iterator[Result]:
        stream = method(self._behind, *args, **kwargs)
        try:
            while (item := self._thread.run(_next_or_end(stream))) is not _END:
                yield item
        finally:
            self._thread.end(stream.aclose())

    return call


async def _next_or_end(stream: AsyncGenerator[Result, None]) -> Result:
    return await anext(stream, _END)


class Admin:
    """The admin methods of a router; reached as `client.admin`. See AsyncAdmin."""

    def __init__(self, behind: AsyncAdmin, thread: LoopThread) -> None:
        self._behind = behind
        self._thread = thread

    status = blocking(AsyncAdmin.status)
    policy = blocking(AsyncAdmin.policy)
    set_policy = blocking(AsyncAdmin.set_policy)
    check_policy = blocking(AsyncAdmin.check_policy)
    reload = blocking(AsyncAdmin.reload)
    watch_policy = iterating(AsyncAdmin.watch_policy)


class Client:
    """Classifies texts through a router. Safe to share between threads.

        with Client("localhost:50051") as client:
            answer = client.classify("a gorgeous film")

    Parameters, methods and errors are those of AsyncClient.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        route: str = "",
        timeout: float = 60.0,
        retries: Retries = DEFAULT_RETRIES,
        tls: Tls | None = None,
    ) -> None:
        self._behind = AsyncClient(address, route=route, timeout=timeout, retries=retries, tls=tls)
        self._thread = LoopThread()
        self.admin = Admin(self._behind.admin, self._thread)

    classify = blocking(AsyncClient.classify)
    classify_batch = blocking(AsyncClient.classify_batch)
    classify_stream = iterating(AsyncClient.classify_stream)

    def close(self) -> None:
        """Close the connection. Again is harmless.

        Calls in flight, also those of other threads, and later ones raise ClientClosedError.
        """
        self._thread.close(self._behind.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
