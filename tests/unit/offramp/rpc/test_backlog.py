"""How many calls wait for the event loop: gRPC's count less what was taken in."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from offramp.rpc.backlog import MEMORY_SECONDS, SAMPLE_SECONDS, Backlog, received_by

HEALTH = vars(health)["aio"]
SOON = 2 * SAMPLE_SECONDS


class Scene:
    """A backlog whose clock and whose count of received calls a test sets."""

    def __init__(self) -> None:
        self.now, self.received, self.asked = 100.0, 0, 0
        self.backlog = Backlog(lambda: self.now)
        self.backlog.received = self._ask

    def _ask(self) -> int:
        self.asked += 1
        return self.received

    def after(self, seconds: float, received: int = 0, taken: int = 0) -> int:
        """How many wait once so many more came and were taken in."""
        self.now += seconds
        self.received += received
        for _ in range(taken):
            self.backlog.take()
        return self.backlog.waiting


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_what_was_received_and_not_taken_in_waits(scene):
    assert scene.after(0, received=10, taken=4) == 6
    assert scene.after(SOON, received=5, taken=3) == 8


def test_grpc_is_asked_now_and_then_and_never_too_many_are_said_to_wait(scene):
    scene.after(0, received=10)
    assert scene.after(SAMPLE_SECONDS / 2, received=90, taken=4) == 6
    assert scene.after(SAMPLE_SECONDS / 4, taken=20) == 0
    assert scene.asked == 1


def test_calls_that_never_come_are_forgotten(scene):
    scene.after(0, received=7)
    for _ in range(3):
        last = scene.after(MEMORY_SECONDS, received=5, taken=5)
    assert last == 0
    assert scene.after(SOON, received=100) == 100


def test_a_crowd_is_not_taken_for_calls_that_never_come(scene):
    scene.after(MEMORY_SECONDS)
    assert scene.after(SOON, received=6000) == 6000
    assert scene.after(MEMORY_SECONDS - 0.1, taken=1000) == 5000


class Counting(grpc.aio.ServerInterceptor):
    """Counts the calls that are taken in."""

    def __init__(self) -> None:
        self.taken = 0

    async def intercept_service(self, continuation, details):
        self.taken += 1
        return await continuation(details)


@asynccontextmanager
async def serving(server):
    """Serve; yield a stub."""
    health_pb2_grpc.add_HealthServicer_to_server(HEALTH.HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield health_pb2_grpc.HealthStub(channel)
    await server.stop(None)


@pytest.mark.parametrize("fate", ["answered", "cancelled", "late"])
async def test_grpc_counts_the_calls_of_one_server_whatever_becomes_of_them(fate):
    counting = Counting()
    other = grpc.aio.server()
    server, received = received_by(lambda: grpc.aio.server(interceptors=[counting]))
    request, timeout = health_pb2.HealthCheckRequest(), 0.001 if fate == "late" else None
    async with serving(other) as elsewhere, serving(server) as stub:
        await elsewhere.Check(request)
        await stub.Check(request)
        calls = [stub.Check(request, timeout=timeout) for _ in range(200)]
        if fate == "cancelled":
            await asyncio.sleep(0.01)
            for call in calls:
                call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        for _ in range(1000):
            if received() == counting.taken:
                break
            await asyncio.sleep(0.01)
        assert received() == counting.taken
        assert fate != "answered" or counting.taken == 201
