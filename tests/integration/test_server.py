"""Our gRPC server on a real socket, held to what grpc.aio's own does."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from offramp.rpc import server as rpc_server
from offramp.rpc.call import EOF
from offramp.rpc.server import Server

SOON = 10.0
LARGE = 3_000_000


class Methods:
    """Handlers of bytes, of all four kinds, and what became of their calls."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.release = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.done = asyncio.Event()
        self.leaked: Any = None
        self.seen: dict[str, Any] = {}
        self.written = 0

    async def echo(self, request: bytes, context: Any) -> bytes:
        return request

    async def twice(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield request
        yield request

    async def joined(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        return b"".join([request async for request in requests])

    async def each(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request.upper()

    async def by_hand(self, request: bytes, context: Any) -> None:
        await context.send_initial_metadata((("first", "thing"),))
        await context.write(b"a")
        await context.write(b"b")

    async def reading(self, requests: Any, context: Any) -> bytes:
        first = await context.read()
        return b"first " + first

    async def wait(self, request: bytes, context: Any) -> bytes:
        self.entered.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return b"released"

    async def wait_writing(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"first"
        yield await self.wait(request, context)

    async def flood(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(100_000)
                self.written += 1
        finally:
            self.cancelled.set()

    async def refuse(self, request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("why", "because"),))
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now")
        raise AssertionError("abort raises")

    async def refuse_midway(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"first"
        await context.abort(grpc.StatusCode.DATA_LOSS, "no more")

    async def mark(self, request: bytes, context: Any) -> bytes:
        context.set_code(grpc.StatusCode.NOT_FOUND)
        context.set_details("no such thing")
        return b""

    async def mark_by_number(self, request: bytes, context: Any) -> bytes:
        context.set_code(grpc.StatusCode.NOT_FOUND.value[0])
        return b""

    async def mistyped(self, request: bytes, context: Any) -> bytes:
        await context.send_initial_metadata((("why", 5),))
        return b""

    async def unspeakable(self, request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.DATA_LOSS, "half a pair \ud800")
        return b""

    async def reads_on(self, request: bytes, context: Any) -> bytes:
        assert await context.read() is EOF
        return b"nothing more"

    async def writes_too(self, request: bytes, context: Any) -> bytes:
        await context.write(b"one message too many")
        return b""

    async def reads_twice(self, requests: Any, context: Any) -> bytes:
        readers = [asyncio.create_task(context.read()) for _ in range(2)]
        found = await asyncio.gather(*readers, return_exceptions=True)
        return b" ".join(type(each).__name__.encode() for each in found)

    async def leaks(self, requests: Any, context: Any) -> bytes:
        self.leaked = context
        return b""

    async def stubborn(self, request: bytes, context: Any) -> bytes:
        self.entered.set()
        while not self.release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await self.release.wait()
        return b""

    async def fail(self, request: bytes, context: Any) -> bytes:
        raise RuntimeError("a bug")

    async def ask(self, request: bytes, context: Any) -> bytes:
        self.seen = {
            "time": context.time_remaining(),
            "metadata": dict(context.invocation_metadata()),
            "peer": context.peer(),
            "auth": context.auth_context(),
            "identities": context.peer_identities(),
        }
        context.add_done_callback(lambda done: self.done.set())
        context.set_trailing_metadata((("trailing", "thing"), ("raw-bin", b"\xff")))
        return b""


UNARY_UNARY = (
    *("echo", "wait", "refuse", "mark", "mark_by_number", "mistyped", "unspeakable", "reads_on"),
    *("writes_too", "stubborn", "fail", "ask"),
)
UNARY_STREAM = ("twice", "by_hand", "wait_writing", "flood", "refuse_midway")
STREAM_UNARY = ("joined", "reading", "reads_twice", "leaks")
STREAM_STREAM = ("each",)


def handlers(methods: Methods) -> grpc.GenericRpcHandler:
    kinds = (
        (UNARY_UNARY, grpc.unary_unary_rpc_method_handler),
        (UNARY_STREAM, grpc.unary_stream_rpc_method_handler),
        (STREAM_UNARY, grpc.stream_unary_rpc_method_handler),
        (STREAM_STREAM, grpc.stream_stream_rpc_method_handler),
    )
    named = {name: make(getattr(methods, name)) for names, make in kinds for name in names}
    named["unwritable"] = grpc.unary_unary_rpc_method_handler(
        methods.echo, response_serializer=lambda message: message.no_such_thing
    )
    return grpc.method_handlers_generic_handler("test.Service", named)


def ours() -> grpc.aio.Server:
    return Server(lambda path, handler: handler)


@pytest.fixture
async def methods() -> Methods:
    return Methods()


@pytest.fixture(params=[ours, grpc.aio.server], ids=["ours", "grpc.aio"])
async def server(request: Any, methods: Methods) -> AsyncIterator[Any]:
    server = request.param()
    server.add_generic_rpc_handlers((handlers(methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield server, port
    await server.stop(0)


class Client:
    """Calls of all methods by name."""

    def __init__(self, port: int) -> None:
        self.channel = grpc.aio.insecure_channel(
            f"127.0.0.1:{port}", options=[("grpc.max_receive_message_length", -1)]
        )

    def __getattr__(self, name: str) -> Any:
        path = f"/test.Service/{name}"
        if name in UNARY_STREAM:
            return self.channel.unary_stream(path)
        if name in STREAM_UNARY:
            return self.channel.stream_unary(path)
        if name in STREAM_STREAM:
            return self.channel.stream_stream(path)
        return self.channel.unary_unary(path)


@asynccontextmanager
async def serving(server: grpc.aio.Server, methods: Methods) -> AsyncIterator[Client]:
    server.add_generic_rpc_handlers((handlers(methods),))
    client = Client(server.add_insecure_port("127.0.0.1:0"))
    await server.start()
    async with client.channel:
        yield client
    await server.stop(0)


@pytest.fixture
async def client(server: Any) -> AsyncIterator[Client]:
    client = Client(server[1])
    async with client.channel:
        yield client


async def soon(awaited: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(awaited, SOON)


async def error_of(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await soon(call)
    return caught.value


@pytest.mark.parametrize("data", [b"hello", b"", bytes(LARGE)], ids=["short", "empty", "large"])
async def test_messages_of_all_kinds_of_methods_arrive(client: Client, data: bytes) -> None:
    assert await soon(client.echo(data)) == data
    assert [message async for message in client.twice(data)] == [data, data]
    assert await soon(client.joined(iter([data, b"-", data]))) == data + b"-" + data
    assert [each async for each in client.each(iter([data, b"x"]))] == [data.upper(), b"X"]


async def test_a_stream_without_messages(client: Client) -> None:
    assert await soon(client.joined(iter([]))) == b""
    assert [each async for each in client.each(iter([]))] == []


async def test_a_stream_is_answered_while_it_comes(client: Client) -> None:
    call = client.each()
    for word in (b"a", b"b", b"c"):
        await call.write(word)
        assert await soon(call.read()) == word.upper()
    await call.done_writing()
    assert await soon(call.read()) is EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_a_handler_may_read_and_write_by_hand(client: Client) -> None:
    call = client.by_hand(b"")
    assert dict(await call.initial_metadata()) == {"first": "thing"}
    assert [message async for message in call] == [b"a", b"b"]
    assert await soon(client.reading(iter([b"one", b"two"]))) == b"first one"


async def test_many_at_once_are_all_answered_with_their_own(client: Client) -> None:
    sent = [str(number).encode() for number in range(800)]
    assert await soon(asyncio.gather(*map(client.echo, sent))) == sent


async def test_an_unknown_method(client: Client) -> None:
    error = await error_of(client.nonsense(b""))
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_handler_that_aborts(client: Client) -> None:
    error = await error_of(client.refuse(b""))
    assert (error.code(), error.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "not now")
    trailing: Any = error.trailing_metadata()
    assert dict(trailing)["why"] == "because"
    call = client.refuse_midway(b"")
    assert await soon(call.read()) == b"first"
    error = await error_of(call.read())
    assert (error.code(), error.details()) == (grpc.StatusCode.DATA_LOSS, "no more")


async def test_a_status_that_is_set(client: Client) -> None:
    error = await error_of(client.mark(b""))
    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "no such thing")


async def test_a_status_by_its_number(client: Client) -> None:
    assert (await error_of(client.mark_by_number(b""))).code() is grpc.StatusCode.NOT_FOUND


async def test_metadata_that_cannot_be_sent(client: Client) -> None:
    assert (await error_of(client.mistyped(b""))).code() is grpc.StatusCode.UNKNOWN


async def test_who_reads_on_after_the_only_message(client: Client) -> None:
    assert await soon(client.reads_on(b"")) == b"nothing more"


async def test_a_handler_that_fails_and_others_go_on(client: Client) -> None:
    assert (await error_of(client.fail(b""))).code() is grpc.StatusCode.UNKNOWN
    assert await soon(client.echo(b"still there")) == b"still there"


async def test_an_answer_that_cannot_be_written(client: Client) -> None:
    assert (await error_of(client.unwritable(b""))).code() is not grpc.StatusCode.OK
    assert await soon(client.echo(b"still there")) == b"still there"


async def test_a_compressed_message(server: Any) -> None:
    port = server[1]
    gzip = grpc.Compression.Gzip
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", compression=gzip) as channel:
        assert await soon(channel.unary_unary("/test.Service/echo")(b"x" * 9999)) == b"x" * 9999


async def test_what_a_handler_may_know(client: Client, methods: Methods) -> None:
    call = client.ask(b"", metadata=(("key", "value"),))
    await soon(call)
    await soon(methods.done.wait())
    assert methods.seen.pop("time") is None
    assert methods.seen["metadata"]["key"] == "value"
    assert methods.seen["peer"].startswith("ipv4:127.0.0.1:")
    assert methods.seen["identities"] is None
    trailing = dict(await call.trailing_metadata())
    assert (trailing["trailing"], trailing["raw-bin"]) == ("thing", b"\xff")
    await soon(client.ask(b"", timeout=60))
    assert 50 < methods.seen["time"] < 61


@pytest.mark.parametrize("name", ["wait", "wait_writing"])
async def test_who_cancels_has_the_handler_cancelled(
    client: Client, methods: Methods, name: str
) -> None:
    call = getattr(client, name)(b"")
    await soon(methods.entered.wait())
    call.cancel()
    await soon(methods.cancelled.wait())


@pytest.mark.parametrize("name", ["wait", "wait_writing"])
async def test_a_deadline_has_the_handler_cancelled(
    client: Client, methods: Methods, name: str
) -> None:
    call = getattr(client, name)(b"", timeout=0.2)
    await soon(methods.entered.wait())
    await soon(methods.cancelled.wait())
    assert await soon(call.code()) is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_client_that_vanishes_has_its_handlers_cancelled(
    server: Any, methods: Methods
) -> None:
    code = (
        "import grpc, sys\n"
        f"channel = grpc.insecure_channel('127.0.0.1:{server[1]}')\n"
        "channel.unary_unary('/test.Service/wait')(b'')\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    await soon(methods.entered.wait())
    process.kill()
    await soon(methods.cancelled.wait())
    await process.wait()


async def test_who_does_not_read_holds_the_handler_up(client: Client, methods: Methods) -> None:
    call = client.flood(b"")
    await soon(call.read())
    before = -1
    while before != methods.written:
        before = methods.written
        await asyncio.sleep(0.3)
    assert methods.written < 1000
    call.cancel()
    await soon(methods.cancelled.wait())


async def test_stopping_lets_calls_end_and_takes_no_more(
    server: Any, client: Client, methods: Methods
) -> None:
    call = client.wait(b"")
    await soon(methods.entered.wait())
    stopping = asyncio.create_task(server[0].stop(SOON))
    await asyncio.sleep(0.1)
    late = Client(server[1])
    async with late.channel:
        assert (await error_of(late.echo(b""))).code() is grpc.StatusCode.UNAVAILABLE
    methods.release.set()
    assert await soon(call) == b"released"
    await soon(stopping)
    await soon(server[0].stop(None))


async def test_stopping_ends_in_time(server: Any, client: Client, methods: Methods) -> None:
    call = client.wait(b"")
    await soon(methods.entered.wait())
    await soon(server[0].stop(0.1))
    assert methods.cancelled.is_set()
    code = (await error_of(call)).code()
    assert code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


async def test_an_address_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(RuntimeError, match="cannot listen on"):
            ours().add_insecure_port(f"127.0.0.1:{port}")


async def test_words_that_no_utf8_has(methods: Methods) -> None:
    async with serving(ours(), methods) as client:
        error = await error_of(client.unspeakable(b""))
        assert (error.code(), error.details()) == (grpc.StatusCode.DATA_LOSS, "half a pair ?")


async def test_a_message_before_the_only_answer(methods: Methods) -> None:
    async with serving(ours(), methods) as client:
        call = client.writes_too(b"")
        with pytest.raises(grpc.aio.AioRpcError):
            await soon(call)


async def test_two_that_read_at_once_are_told(methods: Methods) -> None:
    async with serving(ours(), methods) as client:
        call = client.reads_twice()
        await asyncio.sleep(0.1)
        await call.write(b"one")
        assert await soon(call) == b"bytes UsageError"


async def test_who_reads_when_all_is_over_is_told(methods: Methods) -> None:
    async with serving(ours(), methods) as client:
        await soon(client.leaks(iter([b"never read"])))
        with pytest.raises(grpc.aio.UsageError):
            await methods.leaked.read()
    with pytest.raises(grpc.aio.UsageError):  # and the process goes on
        await methods.leaked.read()


async def test_a_handler_that_will_not_be_cancelled_is_left(
    methods: Methods, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rpc_server, "MOST_HANDLER_SECONDS", 0.2)
    async with serving(ours(), methods) as client:
        call = client.stubborn(b"")
        await soon(methods.entered.wait())
        call.cancel()
    assert "1 handlers go on" in caplog.text
    methods.release.set()


async def test_what_fails_on_the_event_loop_takes_nothing_with_it(methods: Methods) -> None:
    server = Server(lambda path, handler: handler)
    done = asyncio.Event()
    server.soon(lambda: 1 / 0)
    server.soon(done.set)
    await soon(done.wait())


async def test_a_call_without_its_message(methods: Methods) -> None:
    async with serving(ours(), methods) as client:
        error = await error_of(client.channel.stream_unary("/test.Service/echo")(iter([])))
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED
        assert await soon(client.echo(b"well")) == b"well"


async def test_a_method_is_wrapped_once(methods: Methods) -> None:
    wrapped: list[str] = []

    def wrap(path: str, handler: Any) -> Any:
        wrapped.append(path)
        return handler

    async with serving(Server(wrap), methods) as client:
        await soon(client.echo(b""))
        await soon(client.echo(b""))
        await error_of(client.nonsense(b""))
    assert wrapped == ["/test.Service/echo"]


async def test_a_handler_that_will_not_be_looked_up_stops_nobody_else(methods: Methods) -> None:
    def wrap(path: str, handler: Any) -> Any:
        if path.endswith("twice"):
            raise RuntimeError("a bug")
        return handler

    async with serving(Server(wrap), methods) as client:
        with pytest.raises(grpc.aio.AioRpcError):
            [message async for message in client.twice(b"", timeout=1)]
        assert await soon(client.echo(b"well")) == b"well"


def test_a_process_that_forgets_to_stop_its_server_ends() -> None:
    code = (
        "import asyncio\n"
        "from offramp.rpc.server import Server\n"
        "async def main():\n"
        "    server = Server(lambda path, handler: handler)\n"
        "    server.add_insecure_port('127.0.0.1:0')\n"
        "    await server.start()\n"
        "asyncio.run(main())\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
