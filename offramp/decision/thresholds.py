"""Other families of thresholds, with the interface of the frontier: one number, and exit shares."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.decision.family import Family
from offramp.decision.ordering import Ordering
from offramp.decision.plan import NEVER

GLOBAL_STEPS = 120
# The part of all texts that one step of ExitShares moves to an earlier exit.
MOVED = 0.01


@dataclass(frozen=True)
class GlobalThreshold(Family):
    """One threshold at every exit: The Right Tool (arXiv 2004.07453), TangoBERT (2204.06271).

    Its number is the threshold. The steps lie where equal parts of all confidences fall.
    """

    def ladder(self) -> Iterator[tuple[float, tuple[float, ...]]]:
        """From 1, never before the last exit, to 0, always at the first."""
        pooled = Ordering.of(self.evidence.confidences(self.measure)[:-1].ravel())
        cuts = pooled.cuts
        steps = np.linspace(0, len(cuts) - 1, min(GLOBAL_STEPS, len(cuts)))
        for cut in cuts[np.rint(steps).astype(np.intp)]:
            threshold = pooled.threshold(int(cut))
            yield threshold, (*(threshold,) * (len(self.evidence.exits) - 1), 0.0)


@dataclass(frozen=True)
class ExitShares(Family):
    """A share of the texts for each exit, under a budget, after EENet (arXiv 2301.07099).

    As there, the shares are those that keep the most of the model's accuracy within the budget, and
    an exit's threshold stands where its share of the surest texts left over by the exits before it
    ends. Its number is the budget: the mean cost on the evidence.

    Simplified: EENet trains exit scores and shares together by gradient descent, anew for each
    budget. Here the scores are the exits' own confidences, and the shares follow from one walk from
    full depth to the first exit. Each step moves a hundredth of the texts from deeper exits to one
    exit, its surest of them, where that costs the least agreement with full depth per cost saved.
    So the vectors are nested, no label is needed, and what is safest to answer early leaves first:
    the order that guarantees are tested in (see `offramp.decision.guarantee`).
    """

    def ladder(self) -> Iterator[tuple[float, tuple[float, ...]]]:
        """From full depth on, one vector per step."""
        walk = _Walk(self)
        yield walk.cost, walk.thresholds
        while walk.step():
            yield walk.cost, walk.thresholds


class _Walk:
    """Where every example of the evidence leaves, while the shares move to earlier exits."""

    def __init__(self, family: Family) -> None:
        evidence = family.evidence
        answers = evidence.answers()
        self._costs = evidence.costs()
        self._agrees = answers == answers[-1]
        self._orderings = [Ordering.of(scores) for scores in evidence.confidences(family.measure)]
        self._leaves = np.full(answers.shape[1], len(answers) - 1)
        self._thresholds = [NEVER] * (len(answers) - 1) + [0.0]
        self._rows = np.arange(answers.shape[1])
        self._size = max(1, math.ceil(MOVED * len(self._rows)))

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The vector that gives these shares."""
        return tuple(self._thresholds)

    @property
    def cost(self) -> float:
        """Mean cost."""
        return float(self._costs[self._leaves, self._rows].mean())

    def step(self) -> bool:
        """Move the best group of examples to an earlier exit; False where none is left to move."""
        moves = [self._move(exit_index) for exit_index in range(len(self._orderings) - 1)]
        possible = [index for index, leaving in enumerate(moves) if leaving]
        if not possible:
            return False
        best = min(possible, key=lambda index: self._price(index, moves[index]))
        self._leaves[self._group(best, moves[best])] = best
        self._thresholds[best] = self._orderings[best].threshold(moves[best])
        return True

    def _move(self, exit_index: int) -> int:
        """How many of its ordering would leave at an exit after a step there; 0 where none can.

        Counts those too that an earlier exit has answered. Equal scores move together.
        """
        ordering = self._orderings[exit_index]
        deeper = np.flatnonzero(self._leaves[ordering.order] > exit_index)
        if not len(deeper):
            return 0
        last = ordering.scores[deeper[: self._size][-1]]
        return int(np.count_nonzero(ordering.scores >= last))

    def _group(self, exit_index: int, leaving: int) -> NDArray[np.intp]:
        """The examples that a step at an exit moves there."""
        ranked = self._orderings[exit_index].order[:leaving]
        return ranked[self._leaves[ranked] > exit_index]

    def _price(self, exit_index: int, leaving: int) -> float:
        """Agreement lost by a step per cost saved."""
        group = self._group(exit_index, leaving)
        before = self._leaves[group], group
        lost = self._agrees[before].sum() - self._agrees[exit_index, group].sum()
        return float(lost / (self._costs[before] - self._costs[exit_index, group]).sum())
