"""How an exit is read: by its plain softmax, and as it is served; each with its calibration.

Confidence here is the largest probability (Guo et al. 2017, arXiv 1706.04599).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.decision.calibration import expected_calibration_error, log_loss
from offramp.decision.calibrators import Temperature
from offramp.decision.confidence import max_prob
from offramp.decision.evidence import Evidence

BINS = 15


@dataclass(frozen=True, slots=True)
class Bin:
    """Texts of about the same confidence: mean confidence, share of right answers, how many."""

    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True, slots=True)
class Reading:
    """One exit as it is read, on N examples. nll in nats."""

    bins: tuple[Bin, ...]
    ece: float
    nll: float


@dataclass(frozen=True, slots=True)
class ExitReliability:
    """One exit, by the plain softmax of its own logits and as the bundle reads it out."""

    name: str
    before: Reading
    after: Reading
    readout: str


def exit_reliability(examples: Evidence) -> tuple[ExitReliability, ...]:
    """Before and after, for every exit."""
    return tuple(
        ExitReliability(
            name=name,
            before=_reading(Temperature().probabilities(examples.logits[i]), examples.labels),
            after=_reading(examples.probabilities()[i], examples.labels),
            readout=_readout(examples, i),
        )
        for i, name in enumerate(examples.exit_names)
    )


def _reading(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> Reading:
    confidences, correct = max_prob(probabilities), probabilities.argmax(axis=-1) == labels
    return Reading(
        bins=bins_of(confidences, correct),
        ece=expected_calibration_error(confidences, correct, BINS),
        nll=float(log_loss(probabilities, labels).mean()),
    )


def bins_of(confidences: NDArray[np.float64], correct: NDArray[np.bool_]) -> tuple[Bin, ...]:
    """The bins that ECE is summed over, as far as anything is in them."""
    places = np.clip((confidences * BINS).astype(int), 0, BINS - 1)
    return tuple(
        Bin(
            float(confidences[places == place].mean()),
            float(correct[places == place].mean()),
            int((places == place).sum()),
        )
        for place in np.unique(places)
    )


def _readout(examples: Evidence, index: int) -> str:
    readout = examples.readouts[index]
    kind = readout.calibrator.kind.replace("_", " ")
    if isinstance(readout.calibrator, Temperature):
        kind = f"temperature {readout.calibrator.value:.2f}"
    return kind if readout.mix is None else f"mix of {len(readout.mix)} exits, {kind}"
