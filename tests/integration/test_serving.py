"""The gRPC server that all services share, on a real socket."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from prometheus_client import CollectorRegistry

from offramp import errors
from offramp.config import ServerSettings
from offramp.rpc.serving import GrpcServer, _health_servicer
from offramp.v1 import router_pb2, router_pb2_grpc

SERVICE = "offramp.v1.RouterService"
LIMIT = 10_000


class Echo(router_pb2_grpc.RouterServiceServicer):
    """Answers with the text as label; some texts raise."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.release = asyncio.Event()

    async def Classify(self, request: Any, context: Any) -> router_pb2.ClassifyResponse:
        text = request.input.text
        if text == "overload":
            raise errors.OverloadedError("queue is full", retry_after_seconds=0.5)
        if text == "bug":
            raise RuntimeError("secret detail")
        if text == "slow":
            self.entered.set()
            await self.release.wait()
        return router_pb2.ClassifyResponse(classification=router_pb2.Classification(label=text))

    async def ClassifyStream(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        async for request in request_iterator:
            if request.id == "stop":
                raise errors.UnknownRouteError("no such route")
            yield router_pb2.ClassifyStreamResponse(id=request.id)


@pytest.fixture
async def echo() -> Echo:
    return Echo()


@pytest.fixture
async def server(echo: Echo) -> AsyncIterator[GrpcServer]:
    settings = ServerSettings(
        address="127.0.0.1:0",
        metrics_address="127.0.0.1:0",
        max_message_bytes=LIMIT,
        drain_seconds=5,
    )
    server = GrpcServer(settings, "router", CollectorRegistry())
    router_pb2_grpc.add_RouterServiceServicer_to_server(echo, server.grpc)
    server.enable_reflection(SERVICE)
    await server.start()
    await server.set_serving(True)
    yield server
    await server.drain()


@pytest.fixture
async def channel(server: GrpcServer) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield channel


def request(text: str) -> router_pb2.ClassifyRequest:
    made = router_pb2.ClassifyRequest()
    made.input.text = text
    return made


async def failure(channel: grpc.aio.Channel, text: str) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await router_pb2_grpc.RouterServiceStub(channel).Classify(request(text))
    return caught.value


async def raw_call(channel: grpc.aio.Channel, data: bytes) -> bytes:
    return await channel.unary_unary(f"/{SERVICE}/Classify")(data)


async def test_errors_arrive_as_rich_status(channel: grpc.aio.Channel) -> None:
    error = await failure(channel, "overload")
    status = rpc_status.from_call(error)
    kinds = {detail.type_url.rpartition(".")[2] for detail in status.details}
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert kinds == {"ErrorInfo", "RetryInfo"}


async def test_a_bug_is_internal_and_keeps_its_secrets(channel: grpc.aio.Channel) -> None:
    error = await failure(channel, "bug")
    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details() == "internal error; the server's log has the details"


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"\x12\x04\x0a\x02\xff\xfe", "valid UTF-8"), (b"\xff\xff\xff", "cannot be decoded")],
)
async def test_bytes_that_do_not_decode_are_the_callers_fault(
    channel: grpc.aio.Channel, data: bytes, words: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await raw_call(channel, data)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert words in str(caught.value.details())


async def test_a_message_too_large_is_told_the_limit(channel: grpc.aio.Channel) -> None:
    error = await failure(channel, "x" * (LIMIT + 1))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"at most {LIMIT} are accepted; send fewer or shorter texts" in str(error.details())
    far_beyond = await failure(channel, "x" * (LIMIT * 5))
    assert far_beyond.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    answer = await router_pb2_grpc.RouterServiceStub(channel).Classify(request("still there"))
    assert answer.classification.label == "still there"


async def test_a_stream_ends_with_its_error(channel: grpc.aio.Channel) -> None:
    stub = router_pb2_grpc.RouterServiceStub(channel)
    call = stub.ClassifyStream()
    await call.write(router_pb2.ClassifyStreamRequest(id="a"))
    first = await call.read()
    assert isinstance(first, router_pb2.ClassifyStreamResponse)
    assert first.id == "a"
    await call.write(router_pb2.ClassifyStreamRequest(id="stop"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_health_follows_the_server(server: GrpcServer, channel: grpc.aio.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    watch = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    await server.set_serving(False)
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    overall = await stub.Check(health_pb2.HealthCheckRequest())
    assert overall.status == health_pb2.HealthCheckResponse.NOT_SERVING
    watch.cancel()


async def test_who_watches_the_health_and_does_not_read_is_let_go() -> None:
    class Deaf:
        async def write(self, message: Any) -> None:
            await asyncio.Event().wait()

    health = _health_servicer(set())
    watching = health.Watch(health_pb2.HealthCheckRequest(), Deaf())
    with pytest.raises(errors.DeadlineError, match="has not been read"):
        await watching
    await asyncio.wait_for(health.enter_graceful_shutdown(), 1)


async def test_reflection_lists_the_services(channel: grpc.aio.Channel) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    async for response in stub.ServerReflectionInfo(iter([ask])):
        names = {service.name for service in response.list_services_response.service}
        assert {SERVICE, "grpc.health.v1.Health", "grpc.channelz.v1.Channelz"} <= names


async def test_channelz_sees_the_server(channel: grpc.aio.Channel) -> None:
    stub = channelz_pb2_grpc.ChannelzStub(channel)
    found = await stub.GetServers(channelz_pb2.GetServersRequest())
    assert len(found.server) >= 1


async def test_calls_are_counted_by_code(server: GrpcServer, channel: grpc.aio.Channel) -> None:
    await failure(channel, "overload")
    await router_pb2_grpc.RouterServiceStub(channel).Classify(request("fine"))

    def count(code: str) -> float | None:
        labels = {"grpc_service": SERVICE, "grpc_method": "Classify", "grpc_code": code}
        return server.registry.get_sample_value("grpc_server_handled_total", labels)

    assert (count("OK"), count("RESOURCE_EXHAUSTED")) == (1.0, 1.0)
    url = f"http://127.0.0.1:{server.metrics_port}/metrics"
    page = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
    assert 'grpc_server_handled_total{grpc_code="OK"' in page


async def test_draining_ends_calls_in_flight_well(server: GrpcServer, echo: Echo) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        call = router_pb2_grpc.RouterServiceStub(channel).Classify(request("slow"))
        await echo.entered.wait()
        draining = asyncio.create_task(server.drain())
        await asyncio.sleep(0.1)
        echo.release.set()
        assert (await call).classification.label == "slow"
        await draining


async def test_a_drain_does_not_wait_for_who_watches_the_health(
    server: GrpcServer, channel: grpc.aio.Channel
) -> None:
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    draining = asyncio.create_task(server.drain())
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    # The server would wait for calls in flight for five seconds.
    await asyncio.wait_for(draining, 4)
    assert await watch.code() is not grpc.StatusCode.OK


async def test_calls_that_end_by_a_code_they_set_are_counted_by_it(
    server: GrpcServer, channel: grpc.aio.Channel
) -> None:
    stub = channelz_pb2_grpc.ChannelzStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetServer(channelz_pb2.GetServerRequest(server_id=1 << 40))
    labels = {"grpc_service": "grpc.channelz.v1.Channelz", "grpc_method": "GetServer"}
    labels["grpc_code"] = caught.value.code().name
    assert labels["grpc_code"] != "OK"
    assert server.registry.get_sample_value("grpc_server_handled_total", labels) == 1


async def test_an_address_in_use_is_a_config_error(server: GrpcServer) -> None:
    settings = ServerSettings(address=f"127.0.0.1:{server.port}", metrics_address="127.0.0.1:0")
    second = GrpcServer(settings, "router", CollectorRegistry())
    with pytest.raises(errors.ConfigError, match="cannot listen on"):
        await second.start()
    await second.grpc.stop(0)


async def test_a_unix_socket_that_another_server_listens_on_is_not_taken_over(tmp_path):
    settings = ServerSettings(
        address=f"unix:{tmp_path}/s.sock", metrics_address="127.0.0.1:0", drain_seconds=0
    )
    first = GrpcServer(settings, "first", CollectorRegistry())
    await first.start()
    try:
        with pytest.raises(errors.ConfigError, match=r"s\.sock \(Address already in use\)"):
            await GrpcServer(settings, "second", CollectorRegistry()).start()
        async with grpc.aio.insecure_channel(settings.address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
    finally:
        await first.drain()


async def test_who_comes_in_a_crowd_is_answered_like_anybody(channel: grpc.aio.Channel) -> None:
    """By default gRPC itself cancels calls at random once a thousand wait to be taken in."""
    stub = router_pb2_grpc.RouterServiceStub(channel)
    calls = [stub.Classify(request("good"), timeout=60) for _ in range(4000)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(answer).__name__ for answer in answers} == {"ClassifyResponse"}
