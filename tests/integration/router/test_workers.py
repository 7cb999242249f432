"""Several workers on one address: processes that share nothing but the config file."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import asynccontextmanager, closing
from pathlib import Path

import grpc
import pytest

from offramp.client import AsyncClient
from offramp.errors import PolicyNotSharedError
from offramp.v1 import admin_pb2, admin_pb2_grpc, router_pb2, router_pb2_grpc
from tests.support.cascade import write_config
from tests.support.router_process import ready, router_process, until

pytestmark = pytest.mark.usefixtures("certainties")

COUNT = 2


@asynccontextmanager
async def started(stack, *options: str):
    """`python -m router` before the stack's tiers."""
    for tier in (stack.small, stack.large):
        await tier.start()
    if not stack.config.exists():
        stack.write()
    try:
        async with router_process(stack.config, *options) as running:
            yield running
    finally:
        for tier in (stack.small, stack.large):
            await tier.stop()


@asynccontextmanager
async def connection(address: str):
    """One of its own: gRPC would share it among channels to the same address."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        yield channel


async def statuses(address: str) -> dict[int, admin_pb2.GetStatusResponse]:
    """What each worker says, by number: connections are made until all have been met."""
    found: dict[int, admin_pb2.GetStatusResponse] = {}
    async with asyncio.timeout(30):
        while len(found) < COUNT:
            async with connection(address) as channel:
                admin = admin_pb2_grpc.RouterAdminServiceStub(channel)
                said = await admin.GetStatus(admin_pb2.GetStatusRequest(), wait_for_ready=True)
            found[said.worker] = said
    return found


def free_ports(count: int) -> int:
    """The first of so many in a row, below those that the system gives away."""
    for first in range(21_000, 32_000, 50):
        try:
            for port in range(first, first + count):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")


def workers_of(running) -> list[int]:
    """The processes that it started."""
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    return [int(number) for number in children.read_text().split()]


async def test_workers_share_an_address_and_follow_the_file(stack, eventually):
    async with started(stack, "--workers", str(COUNT)) as running:
        line = await ready(running)
        assert line["service"] == "router"
        first = await statuses(line["address"])
        assert sorted(first) == [1, 2]
        assert {said.workers for said in first.values()} == {COUNT}
        async with connection(line["address"]) as channel:
            stub = router_pb2_grpc.RouterServiceStub(channel)
            answer = await stub.Classify(router_pb2.ClassifyRequest(input={"text": "easy"}))
            assert answer.classification.exit == "small"
        async with AsyncClient(line["address"]) as client:
            with pytest.raises(PolicyNotSharedError, match="one of 2 workers"):
                await client.admin.set_policy("objective: {threshold: 1}")
        stack.write(policy={"objective": {"threshold": 0.98}})
        async with asyncio.timeout(20):
            while {s.routes[0].policy_version for s in first.values()} != {2}:
                first = await statuses(line["address"])
        running.send_signal(signal.SIGTERM)
        assert await running.wait() == 0


async def test_sighup_reaches_workers_and_harms_none_that_starts(stack):
    async with started(stack, "--workers", str(COUNT)) as running:
        line = await ready(running)
        os.kill(workers_of(running)[0], signal.SIGKILL)
        async with asyncio.timeout(20):
            await until(running, b"started again in 1 s")
        for _ in range(30):  # while the worker is started
            running.send_signal(signal.SIGHUP)
            await asyncio.sleep(0.1)
        assert sorted(await statuses(line["address"])) == [1, 2]
        running.send_signal(signal.SIGTERM)
        _, said = await running.communicate()
        assert b"SIGHUP" not in said
        assert b"is in force" in said


async def test_a_worker_that_dies_is_started_again_while_others_serve(stack):
    async with started(stack, "--workers", str(COUNT)) as running:
        line = await ready(running)
        before = workers_of(running)
        assert len(before) == COUNT
        os.kill(before[0], signal.SIGKILL)
        async with asyncio.timeout(20):
            await until(running, b"started again")
        async with connection(line["address"]) as channel:
            stub = router_pb2_grpc.RouterServiceStub(channel)
            request = router_pb2.ClassifyRequest(input={"text": "easy"})
            assert (await stub.Classify(request)).classification.exit == "small"
        assert sorted(await statuses(line["address"])) == [1, 2]
        after = workers_of(running)
        assert len(after) == COUNT
        assert before[1] in after


async def test_workers_end_with_their_parent(stack, eventually):
    async with started(stack, "--workers", str(COUNT)) as running:
        await ready(running)
        workers = workers_of(running)
        running.kill()
        await eventually(lambda: not any(Path(f"/proc/{pid}/fd").exists() for pid in workers))


async def test_every_worker_has_a_metrics_page(stack):
    port = free_ports(COUNT)
    options = ("--workers", str(COUNT), "--metrics-address", f"127.0.0.1:{port}")
    async with started(stack, *options) as running:
        line = await ready(running)
        assert line["metrics"] == f"127.0.0.1:{port}"
        for own in range(port, port + COUNT):
            reader, writer = await asyncio.open_connection("127.0.0.1", own)
            writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
            page = await reader.read()
            writer.close()
            assert b"offramp_policy_version" in page


@pytest.mark.parametrize("workers", ["0", "65"])
async def test_a_number_of_workers_out_of_range_is_refused(stack, workers):
    async with started(stack, "--workers", workers) as running:
        _, said = await running.communicate()
        assert running.returncode == 2
        assert b"1 to 64" in said


async def test_an_address_that_another_listens_on_is_refused(stack):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with started(stack, "--workers", "2", "--address", address) as running:
            _, said = await running.communicate()
    assert running.returncode == 2
    assert f"cannot listen on {address}".encode() in said


async def test_a_metrics_port_that_is_taken_is_named_with_a_remedy(stack):
    port = free_ports(2)
    with closing(socket.create_server(("127.0.0.1", port + 1))):
        options = ("--workers", "2", "--metrics-address", f"127.0.0.1:{port}")
        async with started(stack, *options) as running:
            _, said = await running.communicate()
    assert running.returncode == 2
    assert f"worker 2 would have its page at 127.0.0.1:{port + 1}".encode() in said
    assert b"2 free ports" in said


@pytest.mark.parametrize("address", ["nowhere.invalid:0", "203.0.113.1:0"])
async def test_an_address_that_is_not_here_is_refused_in_words(stack, address):
    async with started(stack, "--workers", "2", "--address", address) as running:
        _, said = await running.communicate()
    assert running.returncode == 2
    assert b"Traceback" not in said
    assert f"cannot listen on {address}".encode() in said


async def test_what_is_left_of_connections_to_one_router_does_not_hinder_several(stack):
    async with started(stack) as running:
        line = await ready(running)
        async with connection(line["address"]) as channel:
            stub = router_pb2_grpc.RouterServiceStub(channel)
            await stub.Classify(router_pb2.ClassifyRequest(input={"text": "easy"}))
            running.send_signal(signal.SIGTERM)  # it closes first, so its end lingers
            assert await running.wait() == 0
    async with started(stack, "--workers", "2", "--address", line["address"]) as running:
        assert (await ready(running))["address"] == line["address"]


async def test_a_worker_listens_when_it_can_serve(stack, eventually):
    """The kernel would give it connections before, whatever its health."""
    async with started(stack, "--workers", str(COUNT)) as running:
        line = await ready(running)
        await stack.large.stop()
        os.kill(workers_of(running)[0], signal.SIGKILL)
        async with asyncio.timeout(20):
            await until(running, b"started again")
        await eventually(lambda: len(workers_of(running)) == COUNT)
        await asyncio.sleep(2)  # it waits for the large tier now
        met = set()
        for _ in range(12):
            async with connection(line["address"]) as channel:
                admin = admin_pb2_grpc.RouterAdminServiceStub(channel)
                request = admin_pb2.GetStatusRequest()
                said = await admin.GetStatus(request, wait_for_ready=True)
                met.add(said.worker)
        assert len(met) == 1, "only the other one is met"
        await stack.large.start()
        assert sorted(await statuses(line["address"])) == [1, 2]


async def test_a_worker_that_is_started_again_has_the_settings_of_the_others(stack):
    async with started(stack, "--workers", str(COUNT)) as running:
        line = await ready(running)
        stack.write(limits={"max_text_chars": 3}, policy={"objective": {"threshold": 0.98}})
        os.kill(workers_of(running)[0], signal.SIGKILL)
        async with asyncio.timeout(20):
            await until(running, b"started again")
        found = {}
        async with asyncio.timeout(30):
            while {s.routes[0].policy_version for s in found.values()} != {2}:
                found = await statuses(line["address"])
        for said in found.values():
            assert said.reload.restart_required == ["limits.max_text_chars"]


async def test_a_unix_socket_cannot_be_shared(stack, tmp_path):
    address = f"unix:{tmp_path}/router.sock"
    async with started(stack, "--workers", "2", "--address", address) as running:
        _, said = await running.communicate()
    assert running.returncode == 2
    assert b"set workers to 1" in said


async def test_what_stops_one_worker_from_starting_stops_all(stack):
    stack.write()
    settings = stack.settings()
    settings["workers"] = 2
    settings["routes"]["sentiment"]["bundle"] = str(stack.bundle / "nowhere")
    write_config(stack.config, settings)
    async with started(stack) as running:
        _, said = await running.communicate()
    assert running.returncode == 2
    assert b"nowhere" in said
    assert said.count(b"Traceback") == 0
