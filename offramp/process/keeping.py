"""Keeping a child alive: started again whenever it ends, ever more patiently."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from offramp.process.child import Child, Died

# The waits before a child that died is started again; the last one repeats.
RESTART_SECONDS = (1.0, 2.0, 5.0, 15.0, 30.0)
# After this long without trouble, the waits begin anew.
STEADY_SECONDS = 60.0


async def keep_alive(
    child: Child, start: Callable[[Child], Awaitable[object]], note: Callable[[str], None]
) -> None:
    """Start a running child again whenever it ends, until cancelled; `note` is told each time.

    start: starts it and waits until it is ready; may raise Died.
    """
    waits = list(RESTART_SECONDS)
    while True:
        began = time.monotonic()
        death = await child.death()
        if time.monotonic() - began > STEADY_SECONDS:
            waits = list(RESTART_SECONDS)
        wait = waits.pop(0) if len(waits) > 1 else waits[0]
        note(f"{death}\n{child.name} is started again in {wait:g} s")
        await asyncio.sleep(wait)
        try:
            await start(child)
        except Died:
            continue
        except OSError as error:  # no process can be made: out of memory, of processes, of files
            note(f"{child.name} cannot be started ({error})")
