"""The scheduler: which rows run next, and at which stage."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice

from services.engine import batching
from services.engine.row import Row
from services.engine.stage_clock import StageCurve

# How many batches' worth of waiting rows are looked at to bring texts of similar length together.
LOOK_AHEAD = 8


class Scheduler:
    """Queues of rows by stage; the deepest stage goes first, so that survivors go on at once.

    Rows wait in `arrivals` until they are tokenised, then for stage 0. Nothing waits on a timer:
    what is there when the hardware is free is parted into batches of similar length, no more of
    them than pay (`services.engine.batching`) and none of more than max_batch rows.
    """

    def __init__(self, stages: int, max_batch: int) -> None:
        self.max_batch = max_batch
        self.curves: Sequence[StageCurve] = [StageCurve()] * stages
        self._arrivals: deque[Row] = deque()
        self._queues: list[deque[Row]] = [deque() for _ in range(stages)]
        # By stage, batches made from the head of its queue; that of the oldest row comes first.
        self._batches: list[deque[list[Row]]] = [deque() for _ in range(stages)]
        self._earliest_deadline = math.inf

    def arrive(self, rows: Iterable[Row]) -> None:
        """Take in rows that are not tokenised yet."""
        self._enqueue(self._arrivals, rows)

    def to_encode(self) -> list[Row]:
        """Rows to tokenise now: none while survivors wait, else what the look-ahead can use."""
        if any(self._queues[1:]) or any(self._batches[1:]):
            return []
        room = LOOK_AHEAD * self.max_batch - self.waiting(0)
        return [self._arrivals.popleft() for _ in range(min(room, len(self._arrivals)))]

    def ready(self, stage: int, rows: Iterable[Row]) -> None:
        """Rows that may run `stage` now."""
        self._enqueue(self._queues[stage], rows)

    def _enqueue(self, queue: deque[Row], rows: Iterable[Row]) -> None:
        for row in rows:
            queue.append(row)
            self._earliest_deadline = min(self._earliest_deadline, row.deadline)

    def take(self) -> tuple[int, list[Row]]:
        """The next stage to run and its rows; no rows where none are ready."""
        for stage in reversed(range(len(self._queues))):
            if not self._batches[stage] and self._queues[stage]:
                self._batches[stage].extend(self._next_batches(stage))
            if self._batches[stage]:
                return stage, self._batches[stage].popleft()
        return 0, []

    def _next_batches(self, stage: int) -> list[list[Row]]:
        """Batches from the head of a stage's queue.

        All of them run before the next ones are made, so that a row is overtaken only by rows
        that came within the same look-ahead, and the batch of the oldest row runs first.
        """
        head = _popped(self._queues[stage], LOOK_AHEAD * self.max_batch)
        age = {row: position for position, row in enumerate(head)}
        head.sort(key=lambda row: row.tokens)
        tokens = [row.tokens for row in head]
        rows = iter(head)
        batches = [
            list(islice(rows, size))
            for size in batching.sizes(tokens, self.max_batch, self.curves[stage:])
        ]
        return sorted(batches, key=lambda batch: min(age[row] for row in batch))

    def late(self, horizon: float) -> list[Row]:
        """Take out and return the rows whose deadline lies before `horizon`."""
        if self._earliest_deadline >= horizon:
            return []
        removed = self.remove(lambda row: row.deadline < horizon)
        self._earliest_deadline = min((row.deadline for row in self._all()), default=math.inf)
        return removed

    def remove(self, unwanted: Callable[[Row], bool]) -> list[Row]:
        """Take out and return all rows that are not wanted any more, wherever they wait."""
        removed = [row for row in self._all() if unwanted(row)]
        if removed:
            self._arrivals = _without(self._arrivals, unwanted)
            self._queues = [_without(queue, unwanted) for queue in self._queues]
            self._batches = [_without_in(batches, unwanted) for batches in self._batches]
        return removed

    def waiting(self, stage: int) -> int:
        """Rows ready for a stage."""
        return len(self._queues[stage]) + sum(map(len, tuple(self._batches[stage])))

    @property
    def depth(self) -> int:
        """Rows that have not begun: not tokenised yet, or ready for stage 0."""
        return len(self._arrivals) + self.waiting(0)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to run."""
        return not (self._arrivals or any(self._queues) or any(self._batches))

    def _all(self) -> Iterable[Row]:
        batches = chain.from_iterable(self._batches)
        return chain(self._arrivals, *batches, *self._queues)


def _popped(queue: deque[Row], count: int) -> list[Row]:
    return [queue.popleft() for _ in range(min(count, len(queue)))]


def _without(queue: deque[Row], unwanted: Callable[[Row], bool]) -> deque[Row]:
    return deque(row for row in queue if not unwanted(row))


def _without_in(batches: deque[list[Row]], unwanted: Callable[[Row], bool]) -> deque[list[Row]]:
    kept = ([row for row in batch if not unwanted(row)] for batch in batches)
    return deque(batch for batch in kept if batch)
