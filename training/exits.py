"""Which exits a large tier should keep: the fewest that cost the cascade next to nothing.

Every exit costs something, even those that nobody leaves at; one that seldom parts the easy texts
from the hard ones is not worth it. Decided on evidence of a model with an exit at every layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from offramp.decision.confidence import Measure
from offramp.decision.evidence import Evidence
from offramp.decision.frontier import agreement
from offramp.decision.ordering import Ordering

# Relative cost of passing an exit that FLOPs do not show: deciding, and forming batches anew.
OVERHEAD = 0.003
# By how much, relatively, the expected cost may rise for the sake of fewer exits.
TOLERANCE = 0.02
# With more exits than this, sets are not all tried.
MOST_EXHAUSTIVE = 12
# Accuracy per relative cost: the part of the frontier's range where next to nothing is lost. The
# first one stands for stopping nowhere early, which loses nothing whatever the evidence.
PRICES = np.concatenate(([0.0], np.geomspace(1e-3, 0.5, 31)))

Array: TypeAlias = NDArray[np.float64]
Exits: TypeAlias = tuple[int, ...]


def choose(
    evidence: Evidence,
    overhead: float = OVERHEAD,
    tolerance: float = TOLERANCE,
    measure: Measure = Measure.MAX_PROB,
) -> Exits:
    """The exits of the last tier to keep, as positions within that tier; the last is among them.

    Of all sets of exits the smallest whose expected cost at no loss is within `tolerance` of the
    least; among sets of that size, the cheapest.
    """
    costs = costs_by_set(Chooser(evidence, overhead, measure))
    bound = (1.0 + tolerance) * min(costs.values())
    able = [found for found, cost in costs.items() if cost <= bound]
    return min(able, key=lambda found: (len(found), costs[found]))


def costs_by_set(chooser: Chooser, most_exhaustive: int = MOST_EXHAUSTIVE) -> dict[Exits, float]:
    """Expected cost at no loss by set of exits: of all sets, or of those on a greedy way down."""
    if chooser.exits <= most_exhaustive:
        return dict(_every_set((chooser.exits - 1,), chooser.last, chooser))
    return dict(_ever_fewer(tuple(range(chooser.exits)), chooser))


def _every_set(found: Exits, outlook: Outlook, chooser: Chooser) -> Iterator[tuple[Exits, float]]:
    """Depth first, from the last exit forward: sets that end alike share the work behind them."""
    yield found, chooser.cost_of(outlook)
    for exit_index in range(found[0]):
        yield from _every_set((exit_index, *found), chooser.with_exit(exit_index, outlook), chooser)


def _ever_fewer(found: Exits, chooser: Chooser) -> Iterator[tuple[Exits, float]]:
    """From all exits on, without the one that is missed least."""
    yield found, chooser.cost(found)
    while len(found) > 1:
        fewer = [tuple(e for e in found if e != left_out) for left_out in found[:-1]]
        found, cost = min(((f, chooser.cost(f)) for f in fewer), key=lambda pair: pair[1])
        yield found, cost


@dataclass(frozen=True, slots=True)
class Outlook:
    """What becomes of N examples that go on, under P prices: each (P, N).

    reward: agreement with the last exit.  right: whether the answer is right.  cost: relative.
    """

    reward: Array
    right: NDArray[np.bool_]
    cost: Array


class Chooser:
    """Expected costs of the cascade with some of the last tier's exits.

    By the backward induction of the frontier, for all prices at once: an exit in front of others
    takes the examples that it serves at a better value than they would have behind it.
    """

    def __init__(self, evidence: Evidence, overhead: float, measure: Measure) -> None:
        last_tier = evidence.exits[-1].tier
        self._before = sum(e.tier != last_tier for e in evidence.exits)
        self.exits = len(evidence.exits) - self._before
        self._overhead = overhead
        self._rewards = agreement(evidence)
        self._right = evidence.correct()
        self._costs = evidence.costs()
        self._orderings = [Ordering.of(scores) for scores in evidence.confidences(measure)]

    def cost(self, found: Exits) -> float:
        """Expected cost at no loss with these exits of the last tier, its last one among them."""
        return self.cost_of(reduce(lambda o, e: self.with_exit(e, o), found[-2::-1], self.last))

    @cached_property
    def last(self) -> Outlook:
        """What becomes of examples that only the last exit answers."""
        shape = (len(PRICES), self._costs.shape[1])
        return Outlook(
            np.broadcast_to(self._rewards[-1], shape),
            np.broadcast_to(self._right[-1], shape),
            np.broadcast_to(self._costs[-1] + self._overhead, shape),
        )

    def with_exit(self, exit_index: int, behind: Outlook) -> Outlook:
        """The outlook with an exit of the last tier in front of those behind it."""
        return self._in_front(self._before + exit_index, behind, self._overhead)

    def cost_of(self, outlook: Outlook) -> float:
        """Expected cost at no loss, with the tiers before the last one in front of an outlook."""
        for row in reversed(range(self._before)):
            outlook = self._in_front(row, outlook, 0.0)
        no_loss = outlook.right.mean(axis=1) >= self._right[-1].mean()
        return float(outlook.cost.mean(axis=1)[no_loss].min())

    def _in_front(self, row: int, behind: Outlook, overhead: float) -> Outlook:
        prices = PRICES[:, None]
        here = self._rewards[row] - prices * self._costs[row]
        stops = _stops(self._orderings[row], here - (behind.reward - prices * behind.cost))
        return Outlook(
            np.where(stops, self._rewards[row], behind.reward),
            np.where(stops, self._right[row], behind.right),
            np.where(stops, self._costs[row], behind.cost) + overhead,
        )


def _stops(ordering: Ordering, advantage: Array) -> NDArray[np.bool_]:
    """Who should stop (P, N), so that the advantage (P, N) of those who do sums to the most.

    Under the first price nobody.
    """
    gains = np.zeros((len(advantage), advantage.shape[1] + 1))
    np.cumsum(advantage[:, ordering.order], axis=1, out=gains[:, 1:])
    leaving = ordering.cuts[gains[:, ordering.cuts].argmax(axis=1)]
    leaving[0] = 0
    stops = np.empty(advantage.shape, dtype=bool)
    stops[:, ordering.order] = np.arange(advantage.shape[1]) < leaving[:, None]
    return stops
