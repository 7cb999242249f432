"""The scheduler: which rows run next, and at which stage."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice

from services.engine import merging
from services.engine.batching import Parting, Shape, as_it_is
from services.engine.row import Row
from services.engine.stage_clock import StageCurve

# How many batches' worth of waiting rows are looked at to bring texts of similar length together;
# and how many batches survivors may wait for company.
LOOK_AHEAD = 8


class Scheduler:
    """Queues of rows by stage. The deepest stage goes first, unless its survivors better wait.

    Rows wait in `arrivals` until they are tokenised, then for stage 0. Nothing waits on a timer
    while the hardware is idle: survivors wait for company only while an earlier stage runs, where
    that pays (`services.engine.merging`), and for no more than LOOK_AHEAD batches. What is there
    when a stage runs is parted into batches of similar length, no more of them than pay
    (`services.engine.batching`) and none of more than max_batch rows.
    """

    def __init__(self, stages: int, max_batch: int) -> None:
        self.max_batch = max_batch
        self.expect([StageCurve()] * stages)
        self._arrivals: deque[Row] = deque()
        self._queues: list[deque[Row]] = [deque() for _ in range(stages)]
        # By stage, batches made from the head of its queue; that of the oldest row comes first.
        self._batches: list[deque[list[Row]]] = [deque() for _ in range(stages)]
        # By stage, batches of earlier ones that ran while its rows waited.
        self._overtaken = [0] * stages
        self._earliest_deadline = math.inf

    def expect(self, curves: Sequence[StageCurve], shape: Shape = as_it_is) -> None:
        """Schedule by what the stages were measured to take, one curve per stage.

        shape: what batches are filled up to.
        """
        self._curves = tuple(curves)
        self._partings = [Parting(curves[stage:], shape) for stage in range(len(curves))]

    def arrive(self, rows: Iterable[Row]) -> None:
        """Take in rows that are not tokenised yet."""
        self._enqueue(self._arrivals, rows)

    def to_encode(self) -> list[Row]:
        """Rows to tokenise before stage 0 runs: what the look-ahead can use."""
        room = LOOK_AHEAD * self.max_batch - self.waiting(0)
        return [self._arrivals.popleft() for _ in range(min(room, len(self._arrivals)))]

    def ready(self, stage: int, rows: Iterable[Row]) -> None:
        """Rows that may run `stage` now."""
        self._enqueue(self._queues[stage], rows)

    def _enqueue(self, queue: deque[Row], rows: Iterable[Row]) -> None:
        for row in rows:
            queue.append(row)
            self._earliest_deadline = min(self._earliest_deadline, row.deadline)

    def next_stage(self, now: float) -> int:
        """The stage to run at `now`; 0 where nothing waits, and where texts are to be tokenised."""
        chosen = None
        for stage in range(len(self._queues)):
            if self._next_rows(stage) and (chosen is None or not self._waits(stage, chosen, now)):
                chosen = stage
        return chosen or 0

    def _waits(self, stage: int, ahead: int, now: float) -> bool:
        """Whether the rows of a stage better wait while `ahead`, an earlier one, runs a batch."""
        if self._batches[stage] or self._overtaken[stage] >= LOOK_AHEAD:  # these have waited
            return False
        held, company = self._queues[stage], self._next_rows(ahead)
        longest = max(row.tokens for row in held)
        seconds = self._curves[ahead].mixed([row.tokens for row in company])
        behind = sum(curve.seconds(self.max_batch, longest) for curve in self._curves[stage:])
        if min(row.deadline for row in held) < now + seconds + behind:
            return False
        return merging.pays(
            held=len(held),
            others=self.depth + sum(self.waiting(between) for between in range(1, stage)),
            seconds=seconds,
            restart=sum(curve.start(longest) for curve in self._curves[stage:]),
            company=len(company),
            max_batch=self.max_batch,
            overtaken=self._overtaken[stage],
        )

    def _next_rows(self, stage: int) -> Sequence[Row]:
        """The rows of about the next batch of a stage: it is parted when it runs."""
        if self._batches[stage]:
            return self._batches[stage][0]
        waiting = chain(self._queues[stage], self._arrivals if stage == 0 else ())
        return list(islice(waiting, self.max_batch))

    def take(self, stage: int) -> list[Row]:
        """The next rows of a stage; none where none are ready."""
        if not self._batches[stage] and self._queues[stage]:
            self._batches[stage].extend(self._next_batches(stage))
        if not self._batches[stage]:
            return []
        self._overtaken[stage] = 0
        for deeper in range(stage + 1, len(self._queues)):
            self._overtaken[deeper] += bool(self._queues[deeper])
        return self._batches[stage].popleft()

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
            list(islice(rows, size)) for size in self._partings[stage].sizes(tokens, self.max_batch)
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
