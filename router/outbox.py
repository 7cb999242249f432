"""What waits for the next message to a tier, and when that goes.

Nagle's rule (RFC 896): what comes while the tier has not answered any item of the last message
gathers for the next one, so that the busier router and tier are, the more items share a message,
and with it a batch. Where processors are short, more gather (`gathering.py`). Nothing waits for a
tier that has nothing to do while a processor is idle.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Callable

from router.flight import Flight
from router.gathering import Gathering

MAX_ITEMS_PER_MESSAGE = 256
# The first item of a message waits so long at the most: a tier may take longer for a hard text.
MOST_HELD_SECONDS = 0.02
# And no item longer than this share of the time that it has.
MOST_HELD_SHARE = 0.1


def longest_hold(time_left: float) -> float:
    """Seconds that an item may wait for company, of those that it has."""
    return min(MOST_HELD_SECONDS, MOST_HELD_SHARE * max(0.0, time_left))


class Outbox:
    """Items that no message has taken yet.

    wake: called when they may go, or perhaps may; `ready` says whether.
    """

    def __init__(self, gathering: Gathering, wake: Callable[[], None]) -> None:
        self._gathering = gathering
        self._wake = wake
        self._waiting: deque[Flight] = deque()
        # Items of the last message, as long as the tier has answered none of them.
        self._unanswered: frozenset[int] = frozenset()
        # When the first of the items that wait has waited for long enough, whether it has, and what
        # will say so.
        self._due_at = math.inf
        self._overdue = False
        self._timer: asyncio.Handle | None = None
        gathering.watch(self._look)

    @property
    def ready(self) -> bool:
        """Whether what waits is to wait no longer."""
        count = len(self._waiting)
        if count == 0:
            return False
        if self._overdue or count >= MAX_ITEMS_PER_MESSAGE:
            return True
        return not self._unanswered and count >= self._gathering.enough()

    def put(self, flight: Flight) -> None:
        """Take in an item."""
        self._waiting.append(flight)
        self._go_by(flight.go_by)
        self._look()

    def withdraw(self, flight: Flight) -> None:
        """Let go of an item that nobody waits for any more."""
        with contextlib.suppress(ValueError):  # its time was up when its message was written
            self._waiting.remove(flight)
        self._watch_the_clock()

    def answered(self, flight_id: int) -> None:
        """An item is answered, or nobody waits for it any more."""
        if flight_id in self._unanswered:
            self._unanswered = frozenset()
            self._look()

    def take(self, most_bytes: int) -> list[Flight]:
        """As many as a message may hold, less those that nobody waits for any more.

        most_bytes: of their contents.
        """
        taken: list[Flight] = []
        size = 0
        while self._waiting and len(taken) < MAX_ITEMS_PER_MESSAGE:
            flight = self._waiting[0]
            size += flight.content.ByteSize()
            if taken and size > most_bytes:
                break
            self._waiting.popleft()
            if not flight.future.done():
                taken.append(flight)
        # An audit is answered when nothing else is to be: nothing waits for that.
        if taken:
            self._unanswered = frozenset(flight.id for flight in taken if not flight.background)
        self._watch_the_clock()
        return taken

    def clear(self) -> None:
        """Forget all: the call is over."""
        self._waiting.clear()
        self._unanswered = frozenset()
        self._watch_the_clock()

    def _look(self) -> None:
        if self.ready:
            self._wake()

    def _watch_the_clock(self) -> None:
        """Wait no longer than what waits now may."""
        if self._timer is not None:
            self._timer.cancel()
        self._due_at, self._overdue, self._timer = math.inf, False, None
        if self._waiting:
            self._go_by(min(flight.go_by for flight in self._waiting))

    def _go_by(self, when: float) -> None:
        """Let what waits go then at the latest, on the event loop's clock."""
        if when < self._due_at:
            if self._timer is not None:
                self._timer.cancel()
            self._due_at = when
            self._timer = asyncio.get_running_loop().call_at(when, self._due)

    def _due(self) -> None:
        self._overdue = True
        self._wake()
