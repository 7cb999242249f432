"""The engine: schedule, run, post-process, return. Knows rows, stages and plans, not models.

One thread owns an engine; `services.engine.worker` joins that thread to the event loop.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.decision.cost import CostCurve
from offramp.decision.readout import Readout
from offramp.errors import OfframpError
from services.backends.base import Backend
from services.engine import warmup
from services.engine.decide import Decisions, decide
from services.engine.row import Answer, Row, Step
from services.engine.scheduler import Scheduler
from services.engine.stage_clock import StageClock, StageCurve
from services.metrics import TierMetrics

log = logging.getLogger(__name__)

FAILED = "the model failed on a batch that held this text; the tier's log has the details"
# A background batch has this share of the rows of another one: who arrives meanwhile waits for it.
BACKGROUND_SHARE = 0.25


class Engine:
    """Runs rows through the stages of a backend, each to the exit that its plan picks.

    Background rows run in the gaps: a stage at a time, while no other row waits for any stage.

    readouts: one per exit.  clock: monotonic seconds; deadlines are on it.
    choose_batch: let the warm-up find the scheduler's max_batch.
    """

    def __init__(
        self,
        backend: Backend[Any],
        readouts: Sequence[Readout],
        scheduler: Scheduler,
        metrics: TierMetrics,
        clock: Callable[[], float] = time.monotonic,
        *,
        choose_batch: bool = False,
    ) -> None:
        self.backend = backend
        self.stage_clock = StageClock()
        self.clock = clock
        self._readouts = tuple(readouts)
        self._scheduler = scheduler
        self._background = Scheduler(backend.stages, _in_background(scheduler.max_batch))
        self._metrics = metrics
        self._choose_batch = choose_batch
        self._running = (0, 0)
        # Rows taken in and not yet returned, and those of them that the next return brings.
        self._held: set[Row] = set()
        self._ended: list[Row] = []
        metrics.watch_queues(lambda: scheduler.depth, self.in_flight)

    def prepare(self, warm_up: bool, pairs: bool) -> tuple[CostCurve, ...]:
        """Called once, on the thread that will make all other calls.

        Measures the stages if asked to, and returns seconds per row of a full batch from the
        tier's input up to each exit; zeros, and no expectation of seconds, if not.
        """
        self.backend.prepare()
        if not warm_up:
            return (CostCurve(),) * self.backend.stages
        if self._choose_batch:
            self._scheduler.max_batch = warmup.best_batch(self.backend, pairs)
            self._background.max_batch = _in_background(self._scheduler.max_batch)
        curves = warmup.measure(self.backend, self._scheduler.max_batch, pairs)
        self.expect(curves)
        return warmup.cumulative_seconds(curves)

    def expect(self, curves: Sequence[StageCurve]) -> None:
        """Schedule by what the stages were measured to take, one curve per stage."""
        self.stage_clock = StageClock(curves)
        for scheduler in (self._scheduler, self._background):
            scheduler.expect(curves, self.backend.shape)

    @property
    def max_batch(self) -> int:
        """Rows that run together at the most."""
        return self._scheduler.max_batch

    @property
    def idle(self) -> bool:
        """Whether a step would have nothing to do."""
        return self._scheduler.idle and self._background.idle and not self._ended

    def in_flight(self, stage: int) -> int:
        """Rows that wait for a stage or are in it."""
        running_stage, rows = self._running
        waiting = self._scheduler.waiting(stage) + self._background.waiting(stage)
        return waiting + (rows if running_stage == stage else 0)

    def add(self, rows: Iterable[Row]) -> None:
        """Take in rows; each is returned by exactly one later step."""
        now = self.clock()
        rows = list(rows)
        self._held.update(rows)
        for row in rows:
            row.waiting_since = now
        self._scheduler.arrive(row for row in rows if not row.background)
        self._background.arrive(row for row in rows if row.background)

    def step(self) -> list[Row]:
        """Run at most one batch; return the rows that ended, with their outcomes.

        Rows marked as cancelled are returned too, without one.
        """
        scheduler = self._background if self._scheduler.idle else self._scheduler
        stage = scheduler.next_stage(self.clock())
        if stage == 0:
            self._encode_arrivals(scheduler)
        rows = self._schedule(scheduler, stage)
        if rows:
            survivors = self._advance(stage, rows)
            if survivors:
                scheduler.ready(stage + 1, survivors)
        self._metrics.ended(self._ended)
        return self._returned()

    def _returned(self) -> list[Row]:
        ended, self._ended = self._ended, []
        self._held.difference_update(ended)
        return ended

    def drop_cancelled(self) -> None:
        """Take rows marked as cancelled out of the queues; the next step returns them."""
        for scheduler in (self._scheduler, self._background):
            self._ended += scheduler.remove(lambda row: row.cancelled)

    def abandon(self) -> list[Row]:
        """Fail and return every row that is held: the way on after a step that raised."""
        for scheduler in (self._scheduler, self._background):
            scheduler.remove(lambda row: True)
        # What the step had in its hands is in no queue any more.
        self._fail(self._held.difference(self._ended))
        return self._returned()

    def _encode_arrivals(self, scheduler: Scheduler) -> None:
        rows = scheduler.to_encode()
        if not rows:
            return
        texts = [row for row in rows if row.encoded is None]
        if texts and not self._encode(texts):
            if len(texts) > 1:
                for text in texts:
                    self._encode([text])
            rows = [row for row in rows if row.encoded is not None]
            self._fail(text for text in texts if text.encoded is None)
        self._metrics.encoded(sum(row.tokens for row in rows))
        scheduler.ready(0, rows)

    def _encode(self, rows: list[Row]) -> bool:
        """Tokenise texts; False where that failed, perhaps for one of them only."""
        started = self.clock()
        try:
            found = self.backend.encode([(row.text, row.text_pair) for row in rows])
        except BaseException:  # a tokenizer that panics, in Rust, raises no Exception
            log.exception("tokenising %d texts failed", len(rows))
            return False
        seconds = self.clock() - started
        for row, encoded in zip(rows, found, strict=True):
            row.tokenized(encoded, started, seconds)
        return True

    def _schedule(self, scheduler: Scheduler, stage: int) -> list[Row]:
        """Rows to run now, less those whose time is up, or would be before the stage ends."""
        rows = scheduler.take(stage)
        expected = 0.0
        if rows:
            expected = self.stage_clock.expect(stage, [row.tokens for row in rows])
        now = self.clock()
        horizon = now + expected
        # Rows that are not in this batch, and whose time ends before it does, are late as well.
        late = scheduler.late(horizon)
        on_time = [row for row in rows if row.deadline >= horizon]
        if len(on_time) < len(rows):
            late += [row for row in rows if row.deadline < horizon]
            if not on_time and any(row.deadline > now for row in rows):
                self.stage_clock.relax(stage)
        for row in late:
            self._end(row, row.best_so_far())
        return on_time

    def _advance(self, stage: int, rows: list[Row]) -> list[Row]:
        """Run a stage on rows and post-process them; where the backend fails, just they fail.

        Returns the rows that go on to the next stage.
        """
        survivors: list[Row] = []
        self._running = (stage, len(rows))
        started = self.clock()
        try:
            states, logits = self._run(stage, rows)
            seconds = self.clock() - started
            history = self._history(stage, rows, logits)
            decisions = decide(history, self._readouts[stage], [r.plan for r in rows], stage)
        except BaseException:  # see `_encode`
            log.exception("stage %d failed on %d rows", stage, len(rows))
            self._fail(rows)
        else:
            self._book(stage, rows, started, seconds)
            survivors = self._post_process(stage, rows, states, decisions)
        self._running = (0, 0)
        return survivors

    def _run(self, stage: int, rows: list[Row]) -> tuple[list[Any], NDArray[np.float32]]:
        if stage == 0:
            states = self.backend.begin([row.encoded for row in rows if row.encoded])
        else:
            states = [row.state for row in rows]
        return self.backend.run_stage(stage, states)

    def _history(
        self, stage: int, rows: list[Row], logits: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Raw logits (D, B, C) of as many of the rows' exits as are read at this one."""
        for row, own in zip(rows, logits, strict=True):
            row.history.append(own)
        depth = self._readouts[stage].depth
        if depth == 1:
            return logits[None]
        return np.stack([row.history[-depth:] for row in rows], axis=1)

    def _book(self, stage: int, rows: list[Row], started: float, seconds: float) -> None:
        waits = [row.ran(started, seconds, len(rows)) for row in rows]
        self.stage_clock.observe(stage, [row.tokens for row in rows], seconds)
        self._metrics.ran(stage, seconds, waits, background=rows[0].background)

    def _post_process(
        self, stage: int, rows: list[Row], states: list[Any], found: Decisions
    ) -> list[Row]:
        """Rows that are sure leave, at once; returns the others."""
        columns = zip(
            rows,
            states,
            found.probabilities.tolist(),
            found.labels.tolist(),
            found.confidences.tolist(),
            found.confident.tolist(),
            found.leaves.tolist(),
            strict=True,
        )
        survivors = []
        for row, state, probabilities, label, confidence, confident, leaves in columns:
            row.steps.append(Step(label, confidence, row.plan.thresholds[stage]))
            row.probabilities = probabilities
            if row.cancelled:
                self._ended.append(row)
            elif leaves:
                self._end(row, Answer(stage, probabilities, confident))
            else:
                row.state = state
                survivors.append(row)
        return survivors

    def _fail(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._end(row, OfframpError(FAILED))

    def _end(self, row: Row, outcome: Answer | OfframpError) -> None:
        if not row.cancelled:
            row.outcome = outcome
        row.state = None  # the batch that it lives in may be large
        self._ended.append(row)


def _in_background(max_batch: int) -> int:
    return max(1, int(max_batch * BACKGROUND_SHARE))
