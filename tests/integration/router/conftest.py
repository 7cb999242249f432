"""A whole router in this process, on real sockets, before two scripted tiers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from offramp.v1 import admin_pb2_grpc, router_pb2, router_pb2_grpc
from router.app import Router
from tests.support.cascade import EXITS, bundle_id, make_bundle, settings_for, write_config
from tests.support.scripted_tier import ScriptedTier


class Stack:
    """Two tiers, a router, and stubs to call it with."""

    def __init__(self, directory: Path) -> None:
        self.bundle = make_bundle(directory / "bundle")
        self.config = directory / "config" / "router.yaml"
        self.config.parent.mkdir()
        identity = bundle_id(self.bundle)
        self.small = ScriptedTier("small", EXITS[:1], identity)
        self.large = ScriptedTier("large", EXITS[1:], identity)
        self.router: Router

    def settings(self, **changes: object) -> dict:
        """The config as data."""
        addresses = {"small": self.small.address, "large": self.large.address}
        return settings_for(self.bundle, addresses, **changes)

    def write(self, **changes: object) -> None:
        """Replace the config file."""
        write_config(self.config, self.settings(**changes))

    @asynccontextmanager
    async def serving(self, **changes: object) -> AsyncIterator[Stack]:
        """Everything up, the router's health as it is before it is announced."""
        for tier in (self.small, self.large):
            await tier.start()
        self.write(**changes)
        self.router = Router(self.config)
        try:
            await self.router.start()
            async with grpc.aio.insecure_channel(f"127.0.0.1:{self.router.server.port}") as channel:
                self.channel = channel
                self.stub = router_pb2_grpc.RouterServiceStub(channel)
                self.admin = admin_pb2_grpc.RouterAdminServiceStub(channel)
                yield self
        finally:
            await self.router.stop()
            await self.router.server.drain()
            for tier in (self.small, self.large):
                await tier.stop()

    async def classify(self, text: str, timeout: float = 20.0, **override: object):
        """One Classification."""
        request = router_pb2.ClassifyRequest(input={"text": text}, override=override or None)
        return (await self.stub.Classify(request, timeout=timeout)).classification

    def metric(self, name: str, **labels: str) -> float | None:
        """A sample of the router's registry."""
        return self.router.registry.get_sample_value(name, labels)


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(tmp_path)


@pytest.fixture
def eventually():
    """Wait until a condition holds."""

    async def wait(condition: Callable[[], object], seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while True:
                if condition():
                    return
                await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def certainties(stack: Stack) -> None:
    """Certainties by text: how sure each exit is."""
    sure = {
        "easy": dict.fromkeys(EXITS, 0.97),
        "middling": {"small": 0.6, "large@1": 0.7, "large@2": 0.95, "large@3": 0.99},
        "hard": {"small": 0.55, "large@1": 0.6, "large@2": 0.65, "large@3": 0.7},
    }

    def certainty(text: str, exit_name: str) -> float:
        return sure[text.split(maxsplit=1)[0]][exit_name]

    stack.small.certainty = stack.large.certainty = certainty
