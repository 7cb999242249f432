"""What a cascade is expected to cost where it loses nothing: what choices are made by."""

from __future__ import annotations

import math

import numpy as np

from offramp.decision.confidence import Measure
from offramp.decision.cost import CostCurve
from offramp.decision.evidence import Evidence
from offramp.decision.frontier import Frontier
from offramp.decision.simulate import chosen_exits


def at_no_loss(
    evidence: Evidence,
    floor: float | None = None,
    baseline: CostCurve | None = None,
    measure: Measure = Measure.MAX_PROB,
) -> float:
    """Mean cost of the cheapest point of the frontier that is at least as accurate as `floor`.

    To answer everything at the last exit is one of the points.
    floor: by default the accuracy of the last exit.
    baseline: FLOPs of what counts as a cost of 1; by default the last exit without tiers before it.
        Give the same one where cascades with different last tiers are compared.
    Infinite where no point is that accurate.
    """
    correct, confidences = evidence.correct(), evidence.confidences(measure)
    costs = evidence.costs()
    if baseline is not None:
        costs = costs * (
            evidence.exits[-1].flops.at(evidence.tokens) / baseline.at(evidence.tokens)
        )
    if floor is None:
        floor = float(correct[-1].mean())
    rows = np.arange(len(evidence.labels))
    best = float(costs[-1].mean()) if correct[-1].mean() >= floor else math.inf
    for point in Frontier(evidence, measure).points:
        exits = chosen_exits(confidences, point.thresholds)
        if correct[exits, rows].mean() >= floor:
            best = min(best, float(costs[exits, rows].mean()))
    return best
