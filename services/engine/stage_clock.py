"""How long a stage will take: curves measured at start, corrected by what batches really take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from offramp.decision.cost import CostCurve

# Weight of the newest batch in the running correction.
LEARNING_RATE = 0.2
# A batch counts as at most so many times as slow as expected: one that a pause of the machine held
# up says nothing of the next. What stays slow is learned all the same, in a few batches more.
SLOWEST = 2.0
# How much of the correction stays each time it alone kept a stage from being begun.
RELAXATION = 0.8
NOTHING = CostCurve()


@dataclass(frozen=True, slots=True)
class StageCurve:
    """Seconds of one stage over tokens: of a row that runs alone, and per row of a full batch.

    full: rows of the full batch. What lies between is taken to grow by the same with every row.
    padding: what a token of padding costs, as a share of another: 1 where all of a stage runs on
        padded rows, less where it is packed (`services.backends.packing`).
    """

    alone: CostCurve = NOTHING
    shared: CostCurve = NOTHING
    full: int = 1
    padding: float = 1.0

    def __add__(self, other: StageCurve) -> StageCurve:
        """Of both stages, run as one."""
        alone, shared = self.alone + other.alone, self.shared + other.shared
        return StageCurve(alone, shared, self.full, max(self.padding, other.padding))

    def each(self, tokens: int) -> float:
        """Seconds that one more row of a batch padded to `tokens` tokens takes."""
        alone = self.alone.at_one(tokens)
        if self.full == 1:
            return alone
        return max((self.full * self.shared.at_one(tokens) - alone) / (self.full - 1), 0.0)

    def start(self, tokens: int) -> float:
        """Seconds that such a batch takes beside those of its rows."""
        return max(self.alone.at_one(tokens) - self.each(tokens), 0.0)

    def seconds(self, rows: int, tokens: int) -> float:
        """Seconds of a batch of `rows` rows, each of `tokens` tokens."""
        return self.start(tokens) + rows * self.each(tokens)

    def mixed(self, tokens: Sequence[int]) -> float:
        """Seconds of a batch of rows of so many tokens each, padded to the longest."""
        longest, rows = max(tokens), len(tokens)
        own = self.each(round(sum(tokens) / rows))
        padded = self.padding * self.each(longest) + (1.0 - self.padding) * own
        return self.start(longest) + rows * padded


class StageClock:
    """Expected seconds per batch; 0 without curves (no warm-up), so that nothing is held back."""

    def __init__(self, curves: Sequence[StageCurve] = ()) -> None:
        self._curves = tuple(curves)
        self._corrections = [1.0] * len(self._curves)

    def expect(self, stage: int, tokens: Sequence[int]) -> float:
        """Seconds that a batch of rows of so many tokens each is expected to take."""
        if not self._curves:
            return 0.0
        return self._corrections[stage] * self._curves[stage].mixed(tokens)

    def observe(self, stage: int, tokens: Sequence[int], seconds: float) -> None:
        """Learn from a batch that ran."""
        modelled = self._curves[stage].mixed(tokens) if self._curves else 0.0
        if modelled > 0.0:
            correction = self._corrections[stage]
            # From below the curve, where `relax` may have led, it comes back at full pace.
            ratio = min(seconds / modelled, SLOWEST * max(correction, 1.0))
            self._corrections[stage] += LEARNING_RATE * (ratio - correction)

    def relax(self, stage: int) -> None:
        """Expect less: a stage that is never begun could not teach that it became faster."""
        if self._curves:
            self._corrections[stage] *= RELAXATION
