"""Traffic for an engine in this process: a closed loop of callers, or texts that arrive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from offramp.decision.readout import Readout
from services.backends.base import Backend
from services.engine.core import Engine
from services.engine.plan import StagePlan
from services.engine.row import Answer, Row
from services.engine.scheduler import Scheduler
from services.engine.stage_clock import StageCurve
from services.metrics import TierMetrics


@dataclass(frozen=True, slots=True)
class Tier:
    """What runs, how it is read, and what its stages were measured to take."""

    backend: Backend[Any]
    exits: tuple[str, ...]
    readouts: tuple[Readout, ...]
    plan: StagePlan
    curves: tuple[StageCurve, ...]


@dataclass(frozen=True, slots=True)
class Load:
    """What came of some traffic.

    seconds: from the first text to the last answer.  latencies: (N,) in seconds.
    batches: mean rows of a batch, by stage.
    """

    seconds: float
    latencies: NDArray[np.float64]
    batches: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds


class Merging(Scheduler):
    """The scheduler that serves, with a note of every batch."""

    def __init__(self, stages: int, max_batch: int) -> None:
        super().__init__(stages, max_batch)
        self.sizes: list[list[int]] = [[] for _ in range(stages)]

    def take(self, stage: int) -> list[Row]:
        """As the scheduler that serves."""
        rows = super().take(stage)
        if rows:
            self.sizes[stage].append(len(rows))
        return rows


class DeepestFirst(Merging):
    """Compaction alone: survivors go on at once."""

    def next_stage(self, now: float) -> int:
        """The deepest stage with rows, and stage 0 where none waits."""
        stages = range(len(self.sizes))
        return next((stage for stage in reversed(stages) if self.waiting(stage)), 0)


RULES = {"deepest first": DeepestFirst, "queues": Merging}


class Driver:
    """An engine under one rule, with a clock."""

    def __init__(
        self, tier: Tier, rule: type[Merging], max_batch: int, clock: Callable[[], float]
    ) -> None:
        self._tier = tier
        self._clock = clock
        self._scheduler = rule(tier.backend.stages, max_batch)
        metrics = TierMetrics(CollectorRegistry(), tier.exits)
        self._engine = Engine(tier.backend, tier.readouts, self._scheduler, metrics, clock)
        self._engine.prepare(warm_up=False, pairs=False)
        self._engine.expect(tier.curves)

    def closed_loop(self, texts: Sequence[str], in_flight: int, answers: int) -> Load:
        """So many callers, each of whom sends its next text when it has an answer."""
        rows = iter(self._rows(texts, answers))
        began = self._clock()
        arrived = self._add(list(islice(rows, in_flight)))
        latencies: list[float] = []
        while not self._engine.idle:
            ended = self._step(arrived, latencies)
            arrived |= self._add(list(islice(rows, len(ended))))
        return self._load(began, latencies)

    def arrivals(
        self,
        texts: Sequence[str],
        moments: NDArray[np.float64],
        pass_until: Callable[[float], None],
    ) -> Load:
        """Texts that come when they come, (N,) in seconds; latency counts from then."""
        rows = self._rows(texts, len(moments))
        began, sent = self._clock(), 0
        arrived: dict[int, float] = {}
        latencies: list[float] = []
        while sent < len(rows) or not self._engine.idle:
            if self._engine.idle:
                pass_until(began + moments[sent])
            due = int(np.searchsorted(began + moments, self._clock(), side="right"))
            self._add(rows[sent:due])
            arrived |= {row.id: began + moments[row.id] for row in rows[sent:due]}
            sent = due
            self._step(arrived, latencies)
        return self._load(began, latencies)

    def _rows(self, texts: Sequence[str], count: int) -> list[Row]:
        chosen = islice(cycle(texts), count)
        return [Row(i, text, None, self._tier.plan, _nobody) for i, text in enumerate(chosen)]

    def _add(self, rows: list[Row]) -> dict[int, float]:
        """Hand rows in; when each of them came."""
        if rows:
            self._engine.add(rows)
        return dict.fromkeys((row.id for row in rows), self._clock())

    def _step(self, arrived: dict[int, float], latencies: list[float]) -> list[Row]:
        ended = self._engine.step()
        for row in ended:
            if not isinstance(row.outcome, Answer):
                raise row.outcome or RuntimeError("a row ended without an outcome")
            latencies.append(self._clock() - arrived.pop(row.id))
        return ended

    def _load(self, began: float, latencies: list[float]) -> Load:
        sizes = [float(np.mean(found)) if found else 0.0 for found in self._scheduler.sizes]
        return Load(self._clock() - began, np.array(latencies), tuple(sizes))


def _nobody(rows: list[Row]) -> None:
    """Nobody waits for rows here: they are returned by the engine's own steps."""
