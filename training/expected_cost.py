"""What a cascade is expected to cost where it loses nothing: what choices are made by."""

from __future__ import annotations

import math

import numpy as np

from offramp.decision.confidence import Measure
from offramp.decision.cost import CostCurve
from offramp.decision.evidence import Evidence
from offramp.decision.family import ROUNDING
from offramp.decision.frontier import Frontier
from offramp.decision.simulate import chosen_exits


def at_no_loss(
    evidence: Evidence,
    floor: float | None = None,
    baseline: CostCurve | None = None,
    measure: Measure = Measure.MAX_PROB,
) -> float:
    """Mean cost at the point that a policy of no expected loss would serve with.

    From the dearest point on, the last before the first that is expected to be less accurate than
    `floor`: one behind it that is as accurate again is lucky, and would flatter the cascade.
    floor: by default the accuracy of the last exit.
    baseline: FLOPs of what counts as a cost of 1; by default the last exit without tiers before it.
        Give the same one where cascades with different last tiers are compared.
    Infinite where even to answer everything at the last exit is not that accurate.
    """
    right = float(evidence.correct()[-1].mean())
    limit = 0.0 if floor is None else right - floor
    if limit < -ROUNDING:
        return math.inf
    point = Frontier(evidence, measure).at_loss(limit)
    if baseline is None:
        return point.forecast.mean_cost
    exits = chosen_exits(evidence.confidences(measure), point.thresholds)
    costs = evidence.costs()[exits, np.arange(len(exits))]
    scale = evidence.exits[-1].flops.at(evidence.tokens) / baseline.at(evidence.tokens)
    return float((costs * scale).mean())
