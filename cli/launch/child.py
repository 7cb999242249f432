"""One service as a child process: its log file, its ready line, its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path

LAST_LINES = 8
# Beyond its own drain time, how long a service may take to end before it is killed.
PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Ready:
    """Where a service serves, as its ready line says."""

    address: str
    metrics: str


class Died(Exception):
    """A service ended that should not have; the message shows the last lines of its log."""


class Child:
    """A service started as `python -m MODULE --config FILE`; its output goes to a log file.

    It is in a process group of its own, so that Ctrl-C reaches it as a drain and in turn, and tied
    to this process, so that it never outlives it.
    """

    def __init__(self, name: str, module: str, config: Path, log: Path) -> None:
        self.name = name
        self.log = log
        self._command = (sys.executable, "-m", "cli.launch.tether", str(os.getpid()), module)
        self._arguments = ("--config", str(config))
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> Ready:
        """Start the process and wait until it is ready; Died where it ends before."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                *self._arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                process_group=0,
            )
        ready: asyncio.Future[Ready | None] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read(self._process, ready))
        where = await ready
        if where is None:
            raise Died(await self.obituary())
        return where

    async def _read(
        self, process: asyncio.subprocess.Process, ready: asyncio.Future[Ready | None]
    ) -> None:
        """Look for the ready line; what else is printed, then and later, goes to the log."""
        assert process.stdout is not None
        async for line in process.stdout:
            where = None if ready.done() else _where(line)
            if where is not None:
                ready.set_result(where)
                continue
            with self.log.open("ab") as log:
                log.write(line)
        if not ready.done():
            ready.set_result(None)

    async def obituary(self) -> str:
        """Wait for the end of the process; how it ended, and its last words."""
        code = await self.ended()
        last = "\n".join(f"  | {line}" for line in self.last_lines())
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"{self.name} stopped ({how}); the last lines of {self.log}:\n{last or '  (none)'}"

    def last_lines(self) -> list[str]:
        """The end of the log."""
        with self.log.open(encoding="utf-8", errors="replace") as stream:
            return [line.rstrip() for line in deque(stream, LAST_LINES)]

    async def ended(self) -> int:
        """Wait for the end of the process; its exit code, negative where a signal ended it."""
        assert self._process is not None
        assert self._reader is not None
        code = await self._process.wait()
        await asyncio.wait({self._reader}, timeout=PATIENCE_SECONDS)
        return code

    async def stop(self, drain_seconds: float) -> bool:
        """SIGTERM, and wait while it drains; whether it ended by itself, without being killed."""
        if not self.running:
            return True
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.ended(), drain_seconds + PATIENCE_SECONDS)
        except TimeoutError:
            self.kill()
            await self.ended()
            return False
        return True

    def kill(self) -> None:
        """End the process at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, signum: signal.Signals) -> None:
        if self.running and self._process is not None:
            self._process.send_signal(signum)


def _where(line: bytes) -> Ready | None:
    """What a ready line says; None where it is another line."""
    try:
        said = json.loads(line)
    except ValueError:
        return None
    if isinstance(said, dict) and said.get("event") == "ready":
        return Ready(said["address"], said["metrics"])
    return None
