"""Speed/accuracy curves on held-out examples that had no part in choosing the thresholds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from offramp.decision.confidence import Measure
from offramp.decision.evidence import Evidence
from offramp.decision.family import Family
from offramp.decision.simulate import chosen_exits

Array = NDArray[np.float64]
Lay = Callable[[Evidence, Measure], Family]

# Mean costs, relative to full depth, at which curves are read.
COSTS: Array = np.round(np.arange(0.02, 1.005, 0.02), 2)


def accuracies(family: Family, evidence: Evidence, measure: Measure) -> Array:
    """Accuracy (G,) on `evidence` at every mean cost of COSTS; not a number where it cannot be met.

    Between two points of the family as if a coin chose between them.
    """
    confidences, correct, costs = (
        evidence.confidences(measure),
        evidence.correct(),
        evidence.costs(),
    )
    rows = np.arange(len(evidence.labels))
    found = {}
    for point in family.points:
        exits = chosen_exits(confidences, point.thresholds)
        found[float(costs[exits, rows].mean())] = float(correct[exits, rows].mean())
    spent, right = np.array(sorted(found.items())).T
    # Nobody has to spend more than the dearest point does.
    met: Array = np.interp(COSTS, spent, right, left=np.nan)
    return met


def curve(evidence: Evidence, lay: Lay, measure: Measure, seed: int) -> Array:
    """Accuracy (G,) at every cost of COSTS; each half's thresholds come from the other half."""
    one, other = (evidence.subset(half) for half in halves(len(evidence.labels), seed))
    sides = [accuracies(lay(a, measure), b, measure) for a, b in ((one, other), (other, one))]
    mean: Array = np.mean(sides, axis=0)
    return mean


def halves(count: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions of N examples in two random halves."""
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[: count // 2]), np.sort(order[count // 2 :])


def cheapest(found: Array, accuracy: float) -> float | None:
    """The least of COSTS at which a curve (G,) is so accurate; None where it never is."""
    able = COSTS[found >= accuracy]
    return float(able[0]) if len(able) else None


def at(found: Array, cost: float) -> float | None:
    """Accuracy of a curve (G,) at a cost; None where it cannot be met."""
    accuracy = float(np.interp(cost, COSTS, found))
    return None if np.isnan(accuracy) else accuracy
