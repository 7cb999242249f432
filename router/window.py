"""The sliding window behind the ready gauges: what was answered in the last minute."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

SECONDS = 60


@dataclass(slots=True)
class Totals:
    """Sums over answers."""

    requests: int = 0
    escalated: int = 0
    flops: float = 0.0
    baseline_flops: float = 0.0
    exits: Counter[str] = field(default_factory=Counter)

    def add(self, other: Totals) -> None:
        """Take the sums of `other` in."""
        self.requests += other.requests
        self.escalated += other.escalated
        self.flops += other.flops
        self.baseline_flops += other.baseline_flops
        self.exits.update(other.exits)

    @property
    def speedup(self) -> float:
        """Baseline cost divided by cost; NaN where nothing was answered."""
        return self.baseline_flops / self.flops if self.flops else float("nan")

    @property
    def escalation_ratio(self) -> float:
        """Share of answers that the first tier did not give; NaN where there are none."""
        return self.escalated / self.requests if self.requests else float("nan")


class Window:
    """Totals of the last SECONDS seconds, in slots of one second.

    `clock` gives seconds. Written by the event loop, read by the metrics page's thread.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._slots: dict[int, Totals] = {}

    def add(self, exit_name: str, escalated: bool, flops: float, baseline_flops: float) -> None:
        """Count one answer."""
        second = int(self._clock())
        with self._lock:
            slot = self._slots.get(second)
            if slot is None:
                self._forget(second)
                slot = self._slots[second] = Totals()
            slot.requests += 1
            slot.escalated += escalated
            slot.flops += flops
            slot.baseline_flops += baseline_flops
            slot.exits[exit_name] += 1

    def totals(self) -> Totals:
        """The sums over the window."""
        totals = Totals()
        with self._lock:
            self._forget(int(self._clock()))
            for slot in self._slots.values():
                totals.add(slot)
        return totals

    def _forget(self, now: int) -> None:
        for second in [s for s in self._slots if s <= now - SECONDS]:
            del self._slots[second]
