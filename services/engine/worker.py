"""Joins the engine's compute thread to the event loop: a bounded way in, a grouped way out."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections import defaultdict
from collections.abc import Sequence

from offramp.decision.cost import CostCurve
from offramp.errors import OfframpError, OverloadedError, TierUnavailableError
from services.engine.core import Engine
from services.engine.row import Deliver, Row
from services.metrics import TierMetrics

log = logging.getLogger(__name__)

DRAINING = "this tier is shutting down; send the text to another one"
# Bounds of what a refused caller is told to wait, in seconds.
SHORTEST_RETRY, LONGEST_RETRY = 0.01, 10.0
# Weight of the newest rows in the running estimate of seconds per row.
LEARNING_RATE = 0.2


class Worker:
    """Owns the compute thread. Its methods are called on the event loop, and none blocks it.

    max_queue: rows that may be held; more are refused. Background rows, up to half as many, take
        none of these places.
    """

    def __init__(self, engine: Engine, max_queue: int, metrics: TierMetrics) -> None:
        self._engine = engine
        # By whether they are background rows.
        self._most = {False: max_queue, True: max_queue // 2}
        self._held = {False: 0, True: 0}
        self._metrics = metrics
        # What the event loop hands to the compute thread, guarded by `_changed`.
        self._changed = threading.Condition()
        self._inbox: list[Row] = []
        self._cancelled = False
        self._closed = False
        # What only the event loop touches.
        self._warm = False
        self._draining = False
        self._last_return = 0.0
        self._seconds_per_row = 0.0

    async def start(self, warm_up: bool, pairs: bool) -> tuple[CostCurve, ...]:
        """Start the thread and warm up; returns seconds per row up to each exit, as measured.

        Zeros without a warm-up. Raises what the backend raises.
        """
        self._loop = asyncio.get_running_loop()
        ready: asyncio.Future[tuple[CostCurve, ...]] = self._loop.create_future()
        self._thread = threading.Thread(
            target=self._main, args=(ready, warm_up, pairs), name="engine", daemon=True
        )
        self._thread.start()
        seconds = await ready
        self._warm = True
        return seconds

    def submit(self, rows: Sequence[Row]) -> None:
        """Take in rows; each one's `deliver` is called once with its outcome, unless cancelled.

        Rows that there is no room for are delivered at once with an OverloadedError, and all of
        them with a TierUnavailableError while the tier drains.
        """
        if self.held == 0:
            self._last_return = time.monotonic()
        accepted, refused = [], []
        for row in rows:
            if not self._draining and self._held[row.background] < self._most[row.background]:
                self._held[row.background] += 1
                accepted.append(row)
            else:
                refused.append(row)
        if accepted:
            with self._changed:
                self._inbox.extend(accepted)
                self._changed.notify()
        if refused:
            self._refuse(refused)

    def cancel(self, rows: Sequence[Row]) -> None:
        """Drop rows whose caller is gone; nothing is delivered for them any more."""
        for row in rows:
            row.cancelled = True
        with self._changed:
            self._cancelled = True
            self._changed.notify()

    def refuse_new(self) -> None:
        """Begin to drain: rows held are finished, new ones refused."""
        self._draining = True

    @property
    def held(self) -> int:
        """Rows that are not delivered yet."""
        return sum(self._held.values())

    @property
    def max_batch(self) -> int:
        """Rows that the engine runs together at the most, known when it is warm."""
        return self._engine.max_batch

    @property
    def draining(self) -> bool:
        """Whether new rows are refused for good."""
        return self._draining

    async def close(self) -> None:
        """Stop the thread after the batch that it runs; rows still held are dropped.

        A warm-up is not waited for: its thread ends with the process.
        """
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._warm:
            await asyncio.to_thread(self._thread.join)

    def _refuse(self, rows: Sequence[Row]) -> None:
        for row in rows:
            row.outcome = error = self._refusal(row)
            if not row.background:  # nobody waits for those
                self._metrics.rejected(error.reason)
        _deliver(rows)

    def _refusal(self, row: Row) -> OfframpError:
        if self._draining:
            return TierUnavailableError(DRAINING)
        wait = min(max(self.held * self._seconds_per_row, SHORTEST_RETRY), LONGEST_RETRY)
        which = "background texts" if row.background else "texts"
        return OverloadedError(
            f"{self._held[row.background]} {which} are waiting, the most this tier holds; "
            f"try again in {wait:.2g} seconds",
            retry_after_seconds=wait,
        )

    def _main(
        self, ready: asyncio.Future[tuple[CostCurve, ...]], warm_up: bool, pairs: bool
    ) -> None:
        try:
            curves = self._engine.prepare(warm_up, pairs)
        except BaseException as error:
            self._loop.call_soon_threadsafe(ready.set_exception, error)
            return
        if self._closed:
            return
        self._loop.call_soon_threadsafe(ready.set_result, curves)
        try:
            while self._receive():
                ended = self._step()
                if ended:
                    self._loop.call_soon_threadsafe(self._return, ended)
        except BaseException:
            # Nobody would run a row any more, and health would go on saying that all is well.
            log.critical("the engine's thread failed, and the tier ends with it", exc_info=True)
            os._exit(os.EX_SOFTWARE)

    def _receive(self) -> bool:
        """Wait for work and hand it to the engine; False when the worker is closed."""
        with self._changed:
            while self._engine.idle and not (self._inbox or self._cancelled or self._closed):
                self._changed.wait()
            arrived, self._inbox = self._inbox, []
            cancelled, self._cancelled = self._cancelled, False
            if self._closed:
                return False
        self._engine.add(arrived)
        if cancelled:
            self._engine.drop_cancelled()
        return True

    def _step(self) -> list[Row]:
        try:
            return self._engine.step()
        except BaseException:
            log.exception("the engine failed; the rows that it held are failed")
            return self._engine.abandon()

    def _return(self, ended: list[Row]) -> None:
        """Back on the event loop: deliver rows that ended together, grouped by who waits."""
        for row in ended:
            self._held[row.background] -= 1
        self._measure_rate(len(ended))
        _deliver([row for row in ended if not row.cancelled])

    def _measure_rate(self, rows: int) -> None:
        """Seconds per row while there is work; idle time does not count."""
        now = time.monotonic()
        per_row = (now - self._last_return) / rows
        self._last_return = now
        self._seconds_per_row += LEARNING_RATE * (per_row - self._seconds_per_row)


def _deliver(rows: Sequence[Row]) -> None:
    groups: defaultdict[Deliver, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.deliver].append(row)
    for deliver, group in groups.items():
        deliver(group)
