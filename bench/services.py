"""The real services as processes on this machine, for the length of a benchmark."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from cli.launch.board import Board
from cli.launch.suite import Suite
from cli.launch.workspace import Wishes, prepare
from offramp.client import AsyncClient
from offramp.process.ready import Ready


@dataclass(frozen=True, slots=True)
class Services:
    """A client of the running router, and where router and tiers are, by name."""

    client: AsyncClient
    where: Mapping[str, Ready]


@asynccontextmanager
async def running(bundle: Path) -> AsyncIterator[Services]:
    """Start router and tiers on free ports with a bundle; drain them at the end."""
    with tempfile.TemporaryDirectory(prefix="offramp-bench-") as folder:
        config, logs = Path(folder) / "config", Path(folder) / "logs"
        logs.mkdir()
        workspace = prepare(config, Wishes(bundle, "127.0.0.1", 0, 0), bundle)
        suite = Suite(workspace, logs, Board(Console(stderr=True)))
        try:
            ready = await suite.start()
            async with AsyncClient(ready["router"].address, timeout=600) as client:
                yield Services(client, ready)
        finally:
            await suite.stop()
