"""A readout: how the raw logits of an exit become probabilities and a confidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.decision.calibrators import Calibrator, Temperature, calibrator_from
from offramp.decision.confidence import Measure, confidence
from offramp.decision.learned import LearnedScore

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Readout:
    """Of one exit of a tier. A history is raw logits (D, N, C) of the tier's exits, own exit last.

    mix: weights of the raw logits of the tier's exits up to this one, own exit last; None: only
        its own count.
    calibrator: from the mixed logits to probabilities.
    score: for Measure.LEARNED; None where it was not fitted.
    """

    calibrator: Calibrator = field(default_factory=Temperature)
    mix: tuple[float, ...] | None = None
    score: LearnedScore | None = None

    @property
    def depth(self) -> int:
        """How many exits' logits, its own included, a history must hold at the least."""
        needed = [1]
        if self.mix is not None:
            needed.append(len(self.mix))
        if self.score is not None:
            needed.append(self.score.depth)
        return max(needed)

    def probabilities(self, history: NDArray[np.floating]) -> Array:
        """Calibrated probabilities (N, C) of a history (D, N, C)."""
        return self.calibrator.probabilities(self.mixed(history))

    def mixed(self, history: NDArray[np.floating]) -> NDArray[np.floating]:
        """What is calibrated (N, C): the exit's own logits, or their mix with those before."""
        if self.mix is None:
            own: NDArray[np.floating] = history[-1]
            return own
        recent = np.asarray(history[-len(self.mix) :], dtype=np.float64)
        found: Array = np.tensordot(self.mix, recent, axes=1)
        return found

    def confidence(self, history: NDArray[np.floating], measure: Measure) -> Array:
        """Confidence (N,) of a history. Raises ValueError as `confidence_of` does."""
        return self.confidence_of(self.probabilities(history), history, measure)

    def confidence_of(
        self, probabilities: Array, history: NDArray[np.floating], measure: Measure
    ) -> Array:
        """Confidence (N,) where the probabilities (N, C) of the history are known already.

        Raises ValueError for Measure.LEARNED where no score was fitted.
        """
        if measure is not Measure.LEARNED:
            return confidence(probabilities, measure)
        if self.score is None:
            raise ValueError("this exit has no learned score")
        return self.score.of(probabilities, history)


def readout_from(entry: Mapping[str, Any]) -> Readout:
    """The readout that `dataclasses.asdict` made `entry` of. Raises as `calibrator_from` does."""
    mix, score = entry["mix"], entry["score"]
    return Readout(
        calibrator=calibrator_from(entry["calibrator"]),
        mix=None if mix is None else tuple(mix),
        score=None if score is None else LearnedScore(tuple(score["weights"]), score["bias"]),
    )
