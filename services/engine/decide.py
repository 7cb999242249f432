"""Decisions at an exit: which rows of a batch are sure enough to leave. Each row by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.decision.plan import NEVER
from offramp.decision.readout import Readout
from services.engine.plan import StagePlan


@dataclass(frozen=True, slots=True)
class Decisions:
    """Of B rows at one exit.

    probabilities: calibrated (B, C).  labels: index of the likeliest (B,).  confidences: (B,).
    confident: whether the threshold is reached (B,).  leaves: confident, or last exit allowed (B,).
    """

    probabilities: NDArray[np.float64]
    labels: NDArray[np.intp]
    confidences: NDArray[np.float64]
    confident: NDArray[np.bool_]
    leaves: NDArray[np.bool_]


def decide(
    history: NDArray[np.floating], readout: Readout, plans: Sequence[StagePlan], stage: int
) -> Decisions:
    """`ExitPlan.passes` for every row of a batch at the exit of `stage`.

    history: raw logits (D, B, C) of the exit, last, and of as many before it as its readout reads.
    """
    calibrated = readout.probabilities(history)
    confidences = _confidences(calibrated, history, readout, plans)
    thresholds = np.array([plan.thresholds[stage] for plan in plans])
    confident = (confidences >= thresholds) & (thresholds < NEVER)
    last = np.array([plan.last <= stage for plan in plans])
    return Decisions(
        calibrated, calibrated.argmax(axis=-1), confidences, confident, confident | last
    )


def _confidences(
    calibrated: NDArray[np.float64],
    history: NDArray[np.floating],
    readout: Readout,
    plans: Sequence[StagePlan],
) -> NDArray[np.float64]:
    measures = [plan.measure for plan in plans]
    found = readout.confidence_of(calibrated, history, measures[0])
    for measure in set(measures) - {measures[0]}:
        chosen = np.array([other is measure for other in measures])
        part = readout.confidence_of(calibrated[chosen], history[:, chosen], measure)
        found[chosen] = part
    return found
