"""A server as a process group: started, waited for, measured, stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.peers.full_depth import PeerError

PROC = Path("/proc")
TICKS, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
READY_SECONDS, STOP_SECONDS, LOOK_SECONDS = 180.0, 20.0, 0.05


@dataclass(frozen=True, slots=True)
class Usage:
    """Of all processes of a group. cpu_seconds: since they began.  memory_bytes: resident."""

    cpu_seconds: float
    memory_bytes: int


def usage(session: int) -> Usage:
    """Of every process of a session that runs, with the children that they waited for."""
    ticks, pages = 0, 0
    for stat in PROC.glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if int(fields[3]) == session:
            ticks += sum(map(int, fields[11:15]))
            pages += int(fields[21])
    return Usage(ticks / TICKS, pages * PAGE)


@asynccontextmanager
async def served(
    command: Sequence[str], port: int, log: Path, environment: Mapping[str, str]
) -> AsyncIterator[int]:
    """Start a server and yield its session once `port` is open; stop all of it in the end.

    Raises PeerError, with the end of its log, where it does not come up.
    """
    with log.open("wb") as stream:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            env={**os.environ, **environment},
        )
    try:
        await _until_open(process, port, log)
        yield process.pid
    finally:
        await _stop(process)


async def _until_open(process: asyncio.subprocess.Process, port: int, log: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    while process.returncode is None and time.monotonic() < until:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.2)
        else:
            writer.close()
            return
    raise PeerError(f"{log.stem} did not come up: {_end_of(log)}")


def _end_of(log: Path) -> str:
    return " | ".join(log.read_text(errors="replace").strip().splitlines()[-3:])


async def _stop(process: asyncio.subprocess.Process) -> None:
    """End a whole group: it is asked to, and killed where some of it goes on."""
    for signum in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signum)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
                while usage(process.pid).memory_bytes:  # noqa: ASYNC110 - of children it left
                    await asyncio.sleep(LOOK_SECONDS)
                return
