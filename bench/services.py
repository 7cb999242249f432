"""The real services as processes on this machine, for the length of a benchmark."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from rich.console import Console

from cli.launch.board import Board
from cli.launch.suite import Suite
from cli.launch.workspace import Wishes, prepare
from offramp.client import AsyncClient


@asynccontextmanager
async def running(bundle: Path) -> AsyncIterator[AsyncClient]:
    """Start router and tiers on free ports with a bundle; yield a client; drain at the end."""
    with tempfile.TemporaryDirectory(prefix="offramp-bench-") as folder:
        config, logs = Path(folder) / "config", Path(folder) / "logs"
        logs.mkdir()
        workspace = prepare(config, Wishes(bundle, "127.0.0.1", 0, 0), bundle)
        suite = Suite(workspace, logs, Board(Console(stderr=True)))
        try:
            ready = await suite.start()
            async with AsyncClient(ready["router"].address, timeout=600) as client:
                yield client
        finally:
            await suite.stop()
