"""The real services as processes on this machine, for the length of a benchmark."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import yaml
from rich.console import Console

from cli.launch.board import Board
from cli.launch.suite import Suite
from cli.launch.workspace import Wishes, prepare
from offramp.client import AsyncClient
from offramp.client.connection import DEFAULT_RETRIES, Retries
from offramp.process.ready import Ready
from offramp.v1 import tier_pb2, tier_pb2_grpc


@dataclass(frozen=True, slots=True)
class Services:
    """A client of the running router, and where router and tiers are, by name."""

    client: AsyncClient
    where: Mapping[str, Ready]

    @property
    def pages(self) -> dict[str, str]:
        """The address of each one's metrics."""
        return {name: ready.metrics for name, ready in self.where.items()}

    async def precision(self, tier: str) -> str:
        """What a tier computes in."""
        async with grpc.aio.insecure_channel(self.where[tier].address) as channel:
            stub = tier_pb2_grpc.TierServiceStub(channel)
            found = await stub.Describe(tier_pb2.DescribeRequest())
        precision: str = found.precision
        return precision


@asynccontextmanager
async def running(
    bundle: Path,
    objective: Mapping[str, Any] | None = None,
    retries: Retries = DEFAULT_RETRIES,
    limits: Mapping[str, Any] | None = None,
) -> AsyncIterator[Services]:
    """Start router and tiers on free ports with a bundle; drain them at the end.

    objective: of the policy; None for the one that `offramp up` chooses.  retries: of the client.
    limits: of the router; None for its own.
    """
    with tempfile.TemporaryDirectory(prefix="offramp-bench-") as folder:
        config, logs = Path(folder) / "config", Path(folder) / "logs"
        logs.mkdir()
        workspace = prepare(config, Wishes(bundle, "127.0.0.1", 0, 0), bundle)
        _configure(workspace.file("router"), objective, limits)
        suite = Suite(workspace, logs, Board(Console(stderr=True)))
        try:
            ready = await suite.start()
            address = ready["router"].address
            async with AsyncClient(address, timeout=600, retries=retries) as client:
                yield Services(client, ready)
        finally:
            await suite.stop()


def _configure(
    file: Path, objective: Mapping[str, Any] | None, limits: Mapping[str, Any] | None
) -> None:
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    if objective is not None:
        for route in content["routes"].values():
            route["policy"]["objective"] = dict(objective)
    if limits is not None:
        content["limits"] = content.get("limits", {}) | limits
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
