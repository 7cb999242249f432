"""Several workers on one address: processes that share nothing but the config file."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager, closing
from pathlib import Path

import grpc
import pytest

from offramp.v1 import admin_pb2, admin_pb2_grpc, router_pb2, router_pb2_grpc
from tests.support.cascade import write_config

pytestmark = pytest.mark.usefixtures("certainties")

COUNT = 2


@asynccontextmanager
async def started(stack, *options: str):
    """`python -m router` before the stack's tiers."""
    for tier in (stack.small, stack.large):
        await tier.start()
    if not stack.config.exists():
        stack.write()
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "router", "--config", str(stack.config), *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.communicate()
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


async def ready(running) -> dict:
    return json.loads(await running.stdout.readline())


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
            admin = admin_pb2_grpc.RouterAdminServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await admin.SetPolicy(admin_pb2.SetPolicyRequest(yaml="objective: {threshold: 1}"))
            assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
            assert "one of 2 workers" in refused.value.details()
        stack.write(policy={"objective": {"threshold": 0.98}})
        async with asyncio.timeout(20):
            while {s.routes[0].policy_version for s in first.values()} != {2}:
                first = await statuses(line["address"])
        running.send_signal(signal.SIGTERM)
        assert await running.wait() == 0


async def test_a_worker_that_dies_is_started_again_while_others_serve(stack):
    async with started(stack, "--workers", str(COUNT)) as running:
        line = await ready(running)
        before = workers_of(running)
        assert len(before) == COUNT
        os.kill(before[0], signal.SIGKILL)
        async with asyncio.timeout(20):
            while b"started again" not in await running.stderr.readline():
                pass
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
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
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
