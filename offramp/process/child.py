"""One service as a child process: its log, its ready line, its end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO

from offramp.process.ready import Ready

LAST_LINES = 8
# Beyond its own drain time, how long a service may take to end before it is killed.
PATIENCE_SECONDS = 5.0


class Died(Exception):
    """A service ended that should not have; the message shows the last lines of its log.

    code: its exit code, negative where a signal ended it.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Child:
    """A service started as `python -m MODULE ARGUMENT…`.

    What it prints goes to a log file, or without one to standard error, where this process's goes.
    It is in a process group of its own, so that Ctrl-C reaches it as a drain and in turn, and tied
    to this process, so that it never outlives it.
    """

    def __init__(
        self, name: str, module: str, arguments: Sequence[str], log: Path | None = None
    ) -> None:
        self.name = name
        self.log = log
        self._command = (sys.executable, "-m", "offramp.process.tether", str(os.getpid()), module)
        self._arguments = tuple(arguments)
        self.serving = False
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> Ready:
        """Start the process and wait until it is ready; Died where it ends before."""
        self.serving = False
        with self._output() as output:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                *self._arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
                process_group=0,
            )
        ready: asyncio.Future[Ready | None] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read(self._process, ready))
        where = await ready
        if where is None:
            raise await self.death()
        self.serving = True
        return where

    async def _read(
        self, process: asyncio.subprocess.Process, ready: asyncio.Future[Ready | None]
    ) -> None:
        """Look for the ready line; what else is printed, then and later, goes to the log."""
        assert process.stdout is not None
        async for line in process.stdout:
            where = None if ready.done() else Ready.read(line)
            if where is not None:
                ready.set_result(where)
                continue
            with self._output() as output:
                output.write(line)
                output.flush()
        if not ready.done():
            ready.set_result(None)

    def _output(self) -> AbstractContextManager[IO[bytes]]:
        return nullcontext(sys.stderr.buffer) if self.log is None else self.log.open("ab")

    async def death(self) -> Died:
        """Wait for the end of the process; how it ended, and its last words."""
        code = await self.ended()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        message = f"{self.name} stopped ({how})"
        if self.log is not None:
            last = "\n".join(f"  | {line}" for line in self.last_lines())
            message += f"; the last lines of {self.log}:\n{last or '  (none)'}"
        return Died(message, code)

    def last_lines(self) -> list[str]:
        """The end of the log; nothing where there is none."""
        if self.log is None:
            return []
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
        self.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.ended(), drain_seconds + PATIENCE_SECONDS)
        except TimeoutError:
            self.kill()
            await self.ended()
            return False
        return True

    def kill(self) -> None:
        """End the process at once."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, signum: signal.Signals) -> None:
        """Send it a signal, if there is a process."""
        if self.running and self._process is not None:
            self._process.send_signal(signum)
