"""All services together: started at once, restarted when one dies, drained in order."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from cli.launch.board import Board
from cli.launch.child import Child, Died, Ready
from cli.launch.workspace import Workspace

# A service that dies later is started again after these waits; the last one repeats.
RESTART_SECONDS = (1.0, 2.0, 5.0, 15.0, 30.0)
# After this long without trouble, the waits begin anew.
STEADY_SECONDS = 60.0
OWN_MODULE = ("small", "large")


class Suite:
    """The router and its tiers. Start-up is all or nothing; later each service is kept alive."""

    def __init__(self, workspace: Workspace, logs: Path, board: Board) -> None:
        self._drain_seconds = workspace.settings.server.drain_seconds
        self._board = board
        self._tiers = [
            Child(name, _module(name), workspace.file(name), logs / f"{name}.log")
            for name in workspace.settings.tiers
        ]
        self._router = Child("router", "router", workspace.file("router"), logs / "router.log")
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
        self._watchers = [asyncio.create_task(self._keep_alive(c)) for c in self.children]
        return dict(zip((child.name for child in self.children), ready, strict=True))

    async def _started(self, child: Child) -> Ready:
        self._board.starting(child.name)
        began = time.monotonic()
        ready = await child.start()
        self._board.ready(child.name, ready, time.monotonic() - began)
        return ready

    async def _keep_alive(self, child: Child) -> None:
        """Start a child again whenever it ends, ever more patiently."""
        waits = list(RESTART_SECONDS)
        while True:
            began = time.monotonic()
            how = await child.obituary()
            if time.monotonic() - began > STEADY_SECONDS:
                waits = list(RESTART_SECONDS)
            wait = waits.pop(0) if len(waits) > 1 else waits[0]
            self._board.note(f"{how}\n{child.name} is started again in {wait:g} s")
            await asyncio.sleep(wait)
            try:
                await self._started(child)
            except Died:
                continue

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
