"""The frontier: one number, the price of compute, turned into a threshold for every exit.

At each exit the cascade goes on only if what leaving would lose, the deepest exit's answer, is
worth `price` times the further cost. Solved backward over the exits on evidence, each price gives a
threshold vector.

What is optimal and what is not. Given the thresholds behind it, each threshold is the best there is
for the evidence as a whole, as if every example reached that exit. The first threshold is therefore
optimal given the others, and with two exits so is the vector. With more, a later exit is in truth
reached only by what earlier exits were unsure of, and its best threshold for these may be another
one: the vector is globally optimal where, at every exit, stopping pays for just the examples above
some confidence (then each example gets the best that it can get), and may be beaten otherwise.
Sweeping over the exits again, each for the examples that reach it, mends that on the evidence; on
held-out texts it gained nothing, for fewer examples choose each threshold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.decision.evidence import Evidence
from offramp.decision.family import Family
from offramp.decision.ordering import Ordering
from offramp.decision.plan import NEVER

# Answers lost per unit of relative cost; the ends are "never stop early" and "always stop".
PRICES = np.concatenate(([0.0], np.geomspace(1e-4, 10.0, 120), [1e6]))


@dataclass(frozen=True)
class Frontier(Family):
    """The family whose number is the price of compute."""

    def ladder(self) -> Iterator[tuple[float, tuple[float, ...]]]:
        """One vector per price; a minimum over the prices below keeps them nested."""
        orderings = [Ordering.of(scores) for scores in self.evidence.confidences(self.measure)]
        rewards, costs = agreement(self.evidence), self.evidence.costs()
        lowest = np.ones(len(orderings))
        for price in PRICES:
            lowest = np.minimum(lowest, solve(orderings, rewards - price * costs))
            yield float(price), tuple(lowest.tolist())


def agreement(evidence: Evidence) -> NDArray[np.float64]:
    """Whether (E, N) each exit answers as the deepest one does: what leaving there keeps.

    Not whether it is right: a label is one throw of a coin that the deepest exit knows the odds of,
    and thresholds that are chosen on some hundred throws follow their noise. On held-out texts
    labels lost most, labels and the deepest exit's odds together less, agreement least.
    """
    answers = evidence.answers()
    agrees: NDArray[np.float64] = (answers == answers[-1]).astype(np.float64)
    return agrees


def solve(orderings: Sequence[Ordering], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Thresholds (E,) by backward induction, from the ordering of each exit's scores.

    values: (E, N), the worth of leaving at each exit: reward less price times cost.
    From the last exit back, each threshold maximises the sum of values given those behind it.
    """
    thresholds = np.zeros(len(orderings))
    onward = values[-1]
    for exit_index in range(len(orderings) - 2, -1, -1):
        ordering, here = orderings[exit_index], values[exit_index]
        threshold = ordering.best_threshold(here - onward)
        stops = np.zeros(len(here), dtype=bool)
        stops[ordering.order] = (ordering.scores >= threshold) & (threshold < NEVER)
        onward = np.where(stops, here, onward)
        thresholds[exit_index] = threshold
    return thresholds
