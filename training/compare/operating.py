"""Operating points: which of a method's cascades to run, chosen on evidence alone.

The rule is the same for every method: the cheapest cascade whose expected accuracy on the choosing
evidence is within the allowed loss of the full model's. A label is a noisy reading of the chance of
being right, and a loss of half a point on a few hundred examples is one or two of them; so the
expected accuracy is the mean of the label and of the full model's probability, calibrated as
cross-validation finds best. What noise is left is reported beside the loss as its standard error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.compare.cascade import Cascade, Examples, Outcome

LIMITS = (0.0, 0.005, 0.010)
# A loss of 1e-17 is none.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Loss:
    """Accuracy lost to the full model on the same examples, with its standard error."""

    mean: float
    error: float


def expected_loss(examples: Examples, outcome: Outcome) -> Loss:
    """Loss by half the labels and half the full model's own probabilities."""
    lost = _expected_right(examples, examples.full) - _expected_right(examples, outcome)
    return _loss(lost)


def measured_loss(examples: Examples, outcome: Outcome) -> Loss:
    """Loss by the labels alone, paired example by example."""
    right_in_full = (examples.full.answers == examples.labels).astype(np.float64)
    return _loss(right_in_full - (outcome.answers == examples.labels))


def _expected_right(examples: Examples, outcome: Outcome) -> NDArray[np.float64]:
    believed = examples.believed[np.arange(len(examples.labels)), outcome.answers]
    mean: NDArray[np.float64] = 0.5 * (believed + (outcome.answers == examples.labels))
    return mean


def _loss(lost: NDArray[np.float64]) -> Loss:
    return Loss(float(lost.mean()), float(lost.std() / math.sqrt(len(lost))))


def speedup(examples: Examples, outcome: Outcome) -> float:
    """FLOPs of the full model on all examples, divided by those spent."""
    return float(examples.full.flops.sum() / outcome.flops.sum())


def mean_cost(examples: Examples, cascades: Sequence[Cascade]) -> float:
    """Cost of the cheapest of the cascades within each of LIMITS, on average; 1: full depth.

    Full depth alone is always there to fall back on.
    """
    outcomes = examples.run(cascades)
    losses = [expected_loss(examples, outcome).mean for outcome in outcomes]
    speedups = [speedup(examples, outcome) for outcome in outcomes]
    places = [cheapest_within(losses, speedups, limit) for limit in LIMITS]
    return float(np.mean([1.0 if p is None else min(1.0, 1.0 / speedups[p]) for p in places]))


def cheapest_within(losses: Sequence[float], speedups: Sequence[float], limit: float) -> int | None:
    """Place of the fastest cascade that loses no more than `limit`; None where every one does."""
    kept = [i for i, lost in enumerate(losses) if lost <= limit + ROUNDING]
    return max(kept, key=lambda place: speedups[place], default=None)
