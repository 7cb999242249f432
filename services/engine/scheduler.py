"""The scheduler: which rows run next, and at which stage."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from itertools import chain

from services.engine.row import Row

# How many batches' worth of waiting rows are looked at to bring texts of similar length together.
LOOK_AHEAD = 8


class Scheduler:
    """Queues of rows by stage; the deepest stage goes first, so that survivors go on at once.

    Rows wait in `arrivals` until they are tokenised, then for stage 0. Nothing waits on a timer:
    whatever is there when the hardware is free makes the next batch, up to max_batch rows.
    """

    def __init__(self, stages: int, max_batch: int) -> None:
        self.max_batch = max_batch
        self._arrivals: deque[Row] = deque()
        self._queues: list[deque[Row]] = [deque() for _ in range(stages)]
        # Batches of similar length made from the head of the queue of stage 0, oldest first.
        self._sorted: deque[list[Row]] = deque()
        self._earliest_deadline = math.inf

    def arrive(self, rows: Iterable[Row]) -> None:
        """Take in rows that are not tokenised yet."""
        self._enqueue(self._arrivals, rows)

    def to_encode(self) -> list[Row]:
        """Rows to tokenise now: none while survivors wait, else what the look-ahead can use."""
        if any(self._queues[1:]):
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
        for stage in range(len(self._queues) - 1, 0, -1):
            if self._queues[stage]:
                return stage, _popped(self._queues[stage], self.max_batch)
        return 0, self._take_first_stage()

    def _take_first_stage(self) -> list[Row]:
        queue = self._queues[0]
        if not self._sorted and len(queue) > self.max_batch:
            self._sorted.extend(self._batches_by_length())
        return self._sorted.popleft() if self._sorted else _popped(queue, self.max_batch)

    def _batches_by_length(self) -> list[list[Row]]:
        """Full batches of similar length from the head of the queue.

        All of them run before the next ones are made, so that a row is overtaken only by rows
        that came within the same look-ahead, and the batch of the oldest row runs first.
        """
        full = min(LOOK_AHEAD, len(self._queues[0]) // self.max_batch)
        head = _popped(self._queues[0], full * self.max_batch)
        age = {row: position for position, row in enumerate(head)}
        head.sort(key=lambda row: row.tokens)
        batches = [
            head[start : start + self.max_batch] for start in range(0, len(head), self.max_batch)
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
            kept = ([row for row in batch if not unwanted(row)] for batch in self._sorted)
            self._sorted = deque(batch for batch in kept if batch)
        return removed

    def waiting(self, stage: int) -> int:
        """Rows ready for a stage."""
        sorted_rows = sum(map(len, tuple(self._sorted))) if stage == 0 else 0
        return len(self._queues[stage]) + sorted_rows

    @property
    def depth(self) -> int:
        """Rows that have not begun: not tokenised yet, or ready for stage 0."""
        return len(self._arrivals) + self.waiting(0)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to run."""
        return not (self._arrivals or self._sorted or any(self._queues))

    def _all(self) -> Iterable[Row]:
        return chain(self._arrivals, *self._sorted, *self._queues)


def _popped(queue: deque[Row], count: int) -> list[Row]:
    return [queue.popleft() for _ in range(min(count, len(queue)))]


def _without(queue: deque[Row], unwanted: Callable[[Row], bool]) -> deque[Row]:
    return deque(row for row in queue if not unwanted(row))
