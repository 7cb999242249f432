"""How short processors are, as the thread that asks finds it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

# Linux: nanoseconds that this thread ran, that it was ready to run and waited for a processor, and
# how often it ran (Documentation/scheduler/sched-stats.rst).
STATISTICS = Path("/proc/thread-self/schedstat")
# Asking takes a hundredth of a millisecond; a shorter time would say little of the load.
SAMPLE_SECONDS = 0.1


class Contention:
    """The share of its time that a thread was ready to run and waited for a processor.

    waited: seconds that the thread which asks has waited, ever.  clock: in seconds.
    """

    def __init__(
        self,
        waited: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._waited = waited or waited_seconds
        self._clock = clock
        self._sampled_at, self._before = clock(), self._waited()
        self._share = 0.0

    def share(self) -> float:
        """From 0 to 1, of the last SAMPLE_SECONDS or more; ask on one thread."""
        now = self._clock()
        passed = now - self._sampled_at
        if passed >= SAMPLE_SECONDS:
            waited = self._waited()
            self._share = min(max((waited - self._before) / passed, 0.0), 1.0)
            self._sampled_at, self._before = now, waited
        return self._share


def waited_seconds() -> float:
    """Seconds that this thread was ready and did not run; 0 where the system does not say."""
    try:
        return int(STATISTICS.read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
