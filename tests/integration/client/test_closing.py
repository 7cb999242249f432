"""A client closed by one thread or task while others use it: nobody is left waiting."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import pytest

from offramp.client import AsyncClient, Client
from offramp.errors import ClientClosedError
from tests.integration.client.test_classify import free_address


class LongRetries:
    """Tries again so late that only a close can end the waiting; `waiting` is set before it."""

    def __init__(self) -> None:
        self.waiting = threading.Event()

    def delay(self, attempt, error) -> float:
        self.waiting.set()
        return 1000.0


def on_a_thread(work, *arguments) -> asyncio.Future:
    """A call on a thread that does not keep the process, should it hang."""
    future: Future = Future()

    def run() -> None:
        try:
            future.set_result(work(*arguments))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return asyncio.wrap_future(future)


async def soon(future):
    """What a thread came to; a hang fails the test."""
    return await asyncio.wait_for(future, 30)


async def until(condition) -> None:
    async with asyncio.timeout(30):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


async def test_closing_ends_a_call_that_waits_for_its_answer(address, router):
    router.delay = 1000
    client = Client(address, timeout=2000)
    call = on_a_thread(client.classify, "a")
    await until(lambda: router.requests)
    await soon(on_a_thread(client.close))
    with pytest.raises(ClientClosedError, match="the client was closed"):
        await soon(call)


async def test_closing_ends_a_call_that_waits_to_try_again():
    retries = LongRetries()
    client = Client(free_address(), timeout=2000, retries=retries)
    call = on_a_thread(client.classify, "a")
    await until(retries.waiting.is_set)
    await soon(on_a_thread(client.close))
    with pytest.raises(ClientClosedError):
        await soon(call)


async def test_closing_ends_a_stream_that_waits_for_its_next_answer(address, router):
    router.hold.clear()
    client = Client(address)
    reading = on_a_thread(list, client.classify_stream(["a", "b"]))
    await until(lambda: router.requests)
    await soon(on_a_thread(client.close))
    with pytest.raises(ClientClosedError):
        await soon(reading)
    router.hold.set()


async def test_a_stream_left_open_cannot_be_read_on_and_can_be_dropped(address):
    def use() -> None:
        client = Client(address)
        first, second = (client.classify_stream(["a", "b"]) for _ in range(2))
        assert next(first)[1].label == "a"
        assert next(second)[1].label == "a"
        client.close()
        with pytest.raises(ClientClosedError):
            next(first)
        del second  # ends the generator, whose call there is no loop for

    await soon(on_a_thread(use))


async def test_an_iterator_dropped_on_the_clients_own_thread_blocks_nobody(address, router):
    """The garbage collector may run on any thread, and ends what it finds there."""
    with Client(address, timeout=2000) as client:
        left = client.classify_stream(["a", "b"])
        assert await soon(on_a_thread(next, left))
        client._thread._loop.call_soon_threadsafe(left.close)
        assert await soon(on_a_thread(client.classify, "a"))
        await until(lambda: not client._thread._unwatched)
        assert await soon(on_a_thread(next, left, None)) is None


async def test_a_call_begun_after_the_close_is_refused(address, router):
    def use() -> None:
        client = Client(address)
        client.close()
        client.close()
        for call in (
            lambda: client.classify("a"),
            lambda: client.classify_batch(["a"]),
            lambda: list(client.classify_stream(["a"])),
            client.admin.status,
        ):
            with pytest.raises(ClientClosedError, match="the client was closed"):
                call()

    await soon(on_a_thread(use))
    assert router.requests == []


async def test_calls_that_race_with_the_close_all_end(address):
    client = Client(address)
    started = threading.Event()

    def use() -> None:
        while True:
            client.classify("a")
            started.set()

    callers = [on_a_thread(use) for _ in range(8)]
    await until(started.is_set)
    await soon(asyncio.gather(*(on_a_thread(client.close) for _ in range(2))))
    for caller in callers:
        with pytest.raises(ClientClosedError):
            await soon(caller)


async def test_closing_ends_what_other_tasks_wait_for(address, router):
    router.delay = 1000
    client = AsyncClient(address, timeout=2000)

    async def read(stream) -> None:
        async for _ in stream:
            pass

    waiting = [
        asyncio.create_task(client.classify("a")),
        asyncio.create_task(client.classify_batch(["a"])),
        asyncio.create_task(read(client.classify_stream(["a"]))),
        asyncio.create_task(read(client.admin.watch_policy())),
    ]
    await until(lambda: len(router.requests) == 3)
    await client.close()
    for task in waiting:
        with pytest.raises(ClientClosedError, match="the client was closed"):
            await soon(task)


async def test_a_task_that_is_cancelled_is_cancelled_also_where_the_client_closes(address, router):
    router.delay = 1000
    client = AsyncClient(address)
    call = asyncio.create_task(client.classify("a"))
    await until(lambda: router.requests)
    call.cancel()
    await client.close()
    with pytest.raises(asyncio.CancelledError):
        await soon(call)


@pytest.mark.parametrize("used", [False, True])
async def test_a_call_of_a_task_after_the_close_is_refused(address, used):
    client = AsyncClient(address)
    if used:
        await client.classify("a")
    await client.close()
    await client.close()
    for call in (
        client.classify("a"),
        client.classify_batch(["a"]),
        anext(client.classify_stream(["a"])),
        anext(client.admin.watch_policy()),
        client.admin.status(),
    ):
        with pytest.raises(ClientClosedError):
            await call
