"""`python -m router` as a process: what it prints when it is ready, and what it logs."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


@asynccontextmanager
async def router_process(config: Path, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start it; whatever happens, it is not left running."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "router", "--config", str(config), *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.communicate()


async def ready(running: asyncio.subprocess.Process) -> dict:
    """The ready line."""
    return json.loads(await running.stdout.readline())


async def until(running: asyncio.subprocess.Process, words: bytes) -> None:
    """Read standard error up to a line with these words."""
    while words not in (line := await running.stderr.readline()):
        assert line, f"the process ended before it said {words!r}"
