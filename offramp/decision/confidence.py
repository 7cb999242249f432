"""Confidence: how certain a probability vector is, as one number in 0..1."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Measure(StrEnum):
    """Names of the measures, as the config spells them.

    LEARNED is fitted per exit (`offramp.decision.learned`); the others are the functions below.
    """

    MAX_PROB = "max_prob"
    MARGIN = "margin"
    ENTROPY = "entropy"
    LEARNED = "learned"


def max_prob(probabilities: Array) -> Array:
    """The largest probability; (..., C) -> (...). Used by Right Tool and TangoBERT."""
    largest: Array = probabilities.max(axis=-1)
    return largest


def margin(probabilities: Array) -> Array:
    """Largest minus second largest probability; (..., C) -> (...)."""
    top_two = np.partition(probabilities, -2, axis=-1)[..., -2:]
    gap: Array = top_two[..., 1] - top_two[..., 0]
    return gap


def entropy(probabilities: Array) -> Array:
    """1 - entropy / ln C, so that 1 is certain; (..., C) -> (...). After DeeBERT (2004.12993)."""
    logs = np.log(np.clip(probabilities, 1e-300, 1.0))
    nats = -(probabilities * logs).sum(axis=-1)
    certainty: Array = 1.0 - nats / np.log(probabilities.shape[-1])
    return certainty


MEASURES: dict[Measure, Callable[[Array], Array]] = {
    Measure.MAX_PROB: max_prob,
    Measure.MARGIN: margin,
    Measure.ENTROPY: entropy,
}


def confidence(probabilities: Array, measure: Measure = Measure.MAX_PROB) -> Array:
    """Confidence of calibrated probabilities (..., C), clipped into 0..1.

    Raises ValueError for LEARNED, which takes more than probabilities: see `Readout.confidence`.
    """
    if measure not in MEASURES:
        raise ValueError(
            f"{measure} is no function of the probabilities; it is an exit's own score"
        )
    return np.clip(MEASURES[measure](probabilities), 0.0, 1.0)
