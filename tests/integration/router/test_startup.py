"""Start-up and the process around the router: what it waits for, refuses, and does on signals."""

from __future__ import annotations

import asyncio
import signal
import sys

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from offramp.errors import BundleError, ConfigError
from offramp.v1 import router_pb2, router_pb2_grpc
from router.app import Router
from tests.support.cascade import make_bundle, write_config
from tests.support.router_process import ready, router_process, until

pytestmark = pytest.mark.usefixtures("certainties")


def process(stack):
    """The router with the stack's config."""
    return router_process(stack.config, "--address", "localhost:0")


async def test_the_process_serves_reloads_on_sighup_and_ends_on_sigterm(stack):
    await stack.small.start()
    await stack.large.start()
    stack.write()
    async with process(stack) as running:
        line = await ready(running)
        assert (line["event"], line["service"]) == ("ready", "router")
        async with grpc.aio.insecure_channel(line["address"]) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            for name in ("", "offramp.v1.RouterService", "offramp.v1.RouterAdminService"):
                answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
                assert answer.status == health_pb2.HealthCheckResponse.SERVING
            stub = router_pb2_grpc.RouterServiceStub(channel)
            request = router_pb2.ClassifyRequest(input={"text": "easy"})
            first = await stub.Classify(request)
            assert first.classification.exit == "small"
            running.send_signal(signal.SIGHUP)  # nothing changed: only the signal can be the cause
            await until(running, b"is in force")
            stack.write(policy={"objective": {"threshold": 0.98}})
            running.send_signal(signal.SIGHUP)
            await until(running, b"policy version 2")
            second = await stub.Classify(request)
            assert second.classification.exit == "large@3"
        running.send_signal(signal.SIGTERM)
        assert await running.wait() == 0
    await stack.small.stop()
    await stack.large.stop()


async def test_while_a_tier_is_waited_for_the_router_is_not_serving(stack, eventually):
    await stack.small.start()
    await stack.large.start()
    await stack.large.stop()
    stack.write()
    router = Router(stack.config)
    starting = asyncio.create_task(router.start())
    await eventually(lambda: router.tiers["small"].stream.available)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{router.server.port}") as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        stub = router_pb2_grpc.RouterServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:  # the small tier alone could answer
            await stub.Classify(router_pb2.ClassifyRequest(input={"text": "easy"}))
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "waits for its tiers" in refused.value.details()
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert not starting.done()
    await stack.large.start()
    await starting
    await router.stop()
    await router.server.drain()
    await stack.small.stop()
    await stack.large.stop()


async def test_a_signal_while_tiers_are_waited_for_ends_the_process_quietly(stack):
    await stack.small.start()
    await stack.large.start()
    await stack.large.stop()
    stack.write()
    async with process(stack) as running:
        await until(running, b"tier small")
        running.send_signal(signal.SIGTERM)
        assert await running.wait() == 0
    await stack.small.stop()


async def test_a_signal_while_policies_are_solved_ends_the_process_quietly():
    busy = (
        "import time\nfrom router import __main__\n"
        "def solve(*_, **__): print('there', flush=True); time.sleep(600)\n"
        "__main__.Router = solve\n"
        "raise SystemExit(__main__.main())"
    )
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", busy, "--config", "none.yaml", "--workers", "1"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    await running.stdout.readline()
    running.send_signal(signal.SIGTERM)
    _, said = await running.communicate()
    assert running.returncode == 0
    assert b"Traceback" not in said


async def test_a_sighup_while_tiers_are_waited_for_is_survived_and_no_edit_is_lost(stack):
    await stack.small.start()
    await stack.large.start()
    await stack.large.stop()
    stack.write()
    async with process(stack) as running:
        await until(running, b"tier small")
        stack.write(policy={"objective": {"threshold": 0.98}})
        running.send_signal(signal.SIGHUP)
        await stack.large.start()
        assert (await ready(running))["event"] == "ready"
        await until(running, b"policy version 2")
    await stack.small.stop()
    await stack.large.stop()


async def start_error(stack, kind: type[Exception]) -> str:
    """What start-up says when it stops."""
    router = Router(stack.config)
    try:
        with pytest.raises(kind) as caught:
            await router.start()
    finally:
        await router.stop()
        await router.server.drain()
        await stack.small.stop()
        await stack.large.stop()
    return str(caught.value)


async def test_a_tier_with_another_bundle_stops_the_start(stack):
    stack.large.bundle_id = "another"
    await stack.small.start()
    await stack.large.start()
    stack.write()
    assert "of bundle another, this router needs 'large' of bundle" in await start_error(
        stack, BundleError
    )


async def test_the_wrong_tier_at_an_address_stops_the_start(stack):
    stack.large.tier = "small"
    await stack.small.start()
    await stack.large.start()
    stack.write()
    assert "tier 'large'" in await start_error(stack, BundleError)


async def test_a_tier_that_stays_out_of_reach_stops_the_start_with_a_remedy(stack):
    await stack.small.start()
    await stack.large.start()
    await stack.large.stop()
    stack.write(limits={"tier_wait_seconds": 0.5})
    message = await start_error(stack, ConfigError)
    assert message.startswith(f"tiers.large.address: no tier answered at {stack.large.address}")
    assert "start it, or correct its address" in message


@pytest.mark.parametrize("fault", ["config", "bundle", "evidence", "tiers", "tls"])
async def test_what_cannot_be_used_ends_the_process_with_one_sentence(stack, tmp_path, fault):
    settings = stack.settings()
    if fault == "bundle":
        settings["routes"]["sentiment"]["bundle"] = str(tmp_path / "nowhere")
    if fault == "tiers":
        settings["routes"]["sentiment"]["tiers"] = ["large", "small"]
    if fault == "tls":
        settings["tiers"]["small"]["tls"] = {"ca": str(tmp_path / "none.pem")}
    if fault == "evidence":
        other = make_bundle(tmp_path / "other", name="other")
        (other / "evidence.safetensors").replace(stack.bundle / "evidence.safetensors")
    write_config(stack.config, settings)
    if fault == "config":
        stack.config.write_text("server: 3")
    async with process(stack) as running:
        _, errors = await running.communicate()
    assert running.returncode == 2
    expected = {
        "config": "server: Input should be a valid dictionary",
        "bundle": "make one with `offramp train`",
        "evidence": "thresholds from it would mean nothing",
        "tls": "tiers.small.tls: cannot read",
        "tiers": "list the bundle's tiers in its order",
    }
    assert expected[fault] in errors.decode()
    assert "Traceback" not in errors.decode()
