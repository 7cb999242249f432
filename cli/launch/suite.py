"""All services together: started at once, restarted when one dies, drained in order."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from cli.launch.board import Board
from cli.launch.workspace import Workspace
from offramp.process.child import Child
from offramp.process.keeping import keep_alive
from offramp.process.ready import Ready

OWN_MODULE = ("small", "large")


class Suite:
    """The router and its tiers. Start-up is all or nothing; later each service is kept alive."""

    def __init__(self, workspace: Workspace, logs: Path, board: Board) -> None:
        self._drain_seconds = workspace.settings.server.drain_seconds
        self._board = board
        self._tiers = [
            _child(name, _module(name), workspace, logs) for name in workspace.settings.tiers
        ]
        self._router = _child("router", "router", workspace, logs)
        self._watchers: list[asyncio.Task[None]] = []

    @property
    def children(self) -> list[Child]:
        """The tiers, and the router after them."""
        return [*self._tiers, self._router]

    async def start(self) -> dict[str, Ready]:
        """Start everything; where each service is. Raises Died where one does not come up."""
        starts = [asyncio.create_task(self._started(child)) for child in self.children]
        try:
            ready = await asyncio.gather(*starts)
        finally:
            for start in starts:
                start.cancel()
        self._watchers = [
            asyncio.create_task(keep_alive(c, self._started, self._board.note))
            for c in self.children
        ]
        return dict(zip((child.name for child in self.children), ready, strict=True))

    async def _started(self, child: Child) -> Ready:
        self._board.starting(child.name)
        began = time.monotonic()
        ready = await child.start()
        self._board.ready(child.name, ready, time.monotonic() - began)
        return ready

    async def stop(self) -> bool:
        """Drain the router, then the tiers; whether all ended by themselves."""
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        clean = await self._router.stop(self._drain_seconds)
        ends = await asyncio.gather(*(tier.stop(self._drain_seconds) for tier in self._tiers))
        return clean and all(ends)

    def kill(self) -> None:
        """End everything at once."""
        for child in self.children:
            child.kill()


def _module(tier: str) -> str:
    """The service that hosts a tier; further tiers of a longer chain run on the large one."""
    return f"services.{tier if tier in OWN_MODULE else 'large'}"


def _child(name: str, module: str, workspace: Workspace, logs: Path) -> Child:
    arguments = ("--config", str(workspace.file(name)))
    return Child(name, module, arguments, logs / f"{name}.log")
