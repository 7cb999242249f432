"""Simulation: what a cascade would have done on the evidence with given thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.decision.confidence import Measure
from offramp.decision.evidence import Evidence
from offramp.decision.plan import NEVER


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a threshold vector comes to on N examples. Costs are relative to full depth.

    expected_loss: share of right answers that it loses against full depth, by the consensus
        of all exits (`offramp.decision.consensus`); below 0 where it wins some.  accuracy,
        full_depth_accuracy: counted on the labels, whose difference is the same in expectation, and
        far noisier.
    """

    accuracy: float
    full_depth_accuracy: float
    expected_loss: float
    mean_cost: float
    exit_shares: Mapping[str, float]
    escalation_ratio: float
    examples: int

    @property
    def speedup(self) -> float:
        """Baseline cost divided by mean cost."""
        return 1.0 / self.mean_cost


def chosen_exits(confidences: NDArray[np.float64], thresholds: Sequence[float]) -> NDArray[np.intp]:
    """Index of the exit each example leaves at (N,), from confidences (E, N) and E thresholds.

    A threshold of 1 never answers; what no exit answers leaves at the last one.
    """
    limits = np.asarray(thresholds, dtype=np.float64)[:, None]
    sure = (confidences >= limits) & (limits < NEVER)
    sure[-1] = True
    chosen: NDArray[np.intp] = sure.argmax(axis=0)
    return chosen


def simulate(evidence: Evidence, thresholds: Sequence[float], measure: Measure) -> Forecast:
    """Run the evidence through the cascade with a threshold per exit (the last one is not read)."""
    exits = chosen_exits(evidence.confidences(measure), thresholds)
    rows = np.arange(len(exits))
    shares = np.bincount(exits, minlength=len(evidence.exits)) / len(exits)
    first_tier = evidence.exits[0].tier
    answered_first = sum(
        share for share, e in zip(shares, evidence.exits, strict=True) if e.tier == first_tier
    )
    correct, answers = evidence.correct(), evidence.answers()
    likely = evidence.consensus
    lost = likely[rows, answers[-1]] - likely[rows, answers[exits, rows]]
    return Forecast(
        accuracy=float(correct[exits, rows].mean()),
        full_depth_accuracy=float(correct[-1].mean()),
        expected_loss=float(lost.mean()),
        mean_cost=float(evidence.costs()[exits, rows].mean()),
        exit_shares=dict(zip(evidence.exit_names, shares.tolist(), strict=True)),
        escalation_ratio=float(1.0 - answered_first),
        examples=len(exits),
    )
