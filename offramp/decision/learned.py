"""A learned confidence: will going on change this answer for the better? A small logistic score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from offramp.decision import confidence
from offramp.decision.calibrators import softmax

Array = NDArray[np.float64]

FEATURES = ("log_odds", "margin", "certainty", "agrees", "previous")
OWN_FEATURES = 3
LARGEST_LOG_ODDS = 15.0


@dataclass(frozen=True, slots=True)
class LearnedScore:
    """The chance that going on would not change the answer for the better: 1 is best to stop here.

    weights: one per FEATURES.  bias: of the logistic function.
    """

    weights: tuple[float, ...]
    bias: float

    @property
    def depth(self) -> int:
        """How many exits' logits it reads: 2 where it compares with the exit before."""
        return 2 if any(self.weights[OWN_FEATURES:]) else 1

    def of(self, probabilities: Array, history: NDArray[np.floating]) -> Array:
        """Score (N,) of calibrated probabilities (N, C) and raw logits (D, N, C), own exit last."""
        found: Array = expit(features(probabilities, history) @ self.weights + self.bias)
        return found


def features(probabilities: Array, history: NDArray[np.floating]) -> Array:
    """What the score looks at (N, 5), by FEATURES.

    Of the exit itself: log odds of the top probability, margin, 1 - normalised entropy. Of the exit
    before it in the tier: whether it gave the same answer, and how probable it found that answer;
    both are 0 where there is none.
    """
    top = confidence.max_prob(probabilities)
    columns = [
        np.clip(np.log(top) - np.log1p(-np.minimum(top, 1 - 1e-12)), None, LARGEST_LOG_ODDS),
        confidence.margin(probabilities),
        confidence.entropy(probabilities),
        *_of_the_exit_before(probabilities.argmax(axis=-1), history),
    ]
    return np.stack(columns, axis=-1)


def _of_the_exit_before(answers: NDArray[np.intp], history: NDArray[np.floating]) -> list[Array]:
    if len(history) == 1:
        return [np.zeros(len(answers)), np.zeros(len(answers))]
    before = np.asarray(history[-2], dtype=np.float64)
    believed = softmax(before)[np.arange(len(answers)), answers]
    return [(before.argmax(axis=-1) == answers).astype(np.float64), believed]
