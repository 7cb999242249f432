"""How many items a message to a tier gathers: one, unless processors are short.

A message costs router and tier some two milliseconds beside its items: a wake-up each, a batch of
its own, cold caches. While a processor is idle nobody pays for that. Where all are busy, everybody
waits for it: then a message gathers a share of all that is under way, so that few in flight are
never held up for company that cannot come.
"""

from __future__ import annotations

import math
from collections.abc import Callable

# The event loop's own waiting for a processor that tells of short ones, as a share of the time.
# With one or two texts in flight, or at half of what two cores can answer, it is a fifth at most.
SHORT = 0.3
# Of what is under way.
SHARE = 0.4
# A batch gains little from more.
MOST = 64


class Gathering:
    """Counts what is under way to all tiers, and says how many items a message is to hold.

    contention: the share of its time that the router waits for a processor.
    """

    def __init__(self, contention: Callable[[], float]) -> None:
        self.under_way = 0
        self._contention = contention
        self._watching: list[Callable[[], None]] = []

    def watch(self, fewer: Callable[[], None]) -> None:
        """Have `fewer` called whenever fewer items are under way: what gathers may be enough."""
        self._watching.append(fewer)

    def begin(self) -> None:
        """Count an item."""
        self.under_way += 1

    def end(self, items: int = 1) -> None:
        """Count items no more."""
        self.under_way -= items
        for fewer in self._watching:
            fewer()

    def enough(self) -> int:
        """Items that a message goes with."""
        if self._contention() < SHORT:
            return 1
        return min(max(1, math.ceil(SHARE * self.under_way)), MOST)
