"""Evidence: the logits of every exit on held-out examples, from which thresholds are derived."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.decision import calibration, confidence, cost


@dataclass(frozen=True, slots=True)
class Evidence:
    """What every exit of the cascade said of N examples that neither model was fitted on.

    exits: E exits in the order of the cascade.
    logits: (E, N, C), before temperature.  labels: (N,).  tokens: (N,).
    temperatures: (E,).
    """

    exits: tuple[cost.ExitCost, ...]
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    tokens: NDArray[np.int64]
    temperatures: tuple[float, ...]

    def __post_init__(self) -> None:
        expected = (len(self.exits), len(self.labels))
        if self.logits.ndim != 3 or self.logits.shape[:2] != expected:
            raise ValueError(f"logits have shape {self.logits.shape}, expected {expected} + (C,)")
        if len(self.temperatures) != len(self.exits) or len(self.tokens) != len(self.labels):
            raise ValueError("temperatures, tokens and labels must match exits and examples")

    @property
    def exit_names(self) -> tuple[str, ...]:
        """Names of the exits, in the order of the cascade."""
        return tuple(e.name for e in self.exits)

    def probabilities(self) -> NDArray[np.float64]:
        """Calibrated probabilities (E, N, C)."""
        return np.stack(
            [
                calibration.probabilities(logits, temperature)
                for logits, temperature in zip(self.logits, self.temperatures, strict=True)
            ]
        )

    def confidences(self, measure: confidence.Measure) -> NDArray[np.float64]:
        """Confidence at every exit (E, N)."""
        return confidence.confidence(self.probabilities(), measure)

    def correct(self) -> NDArray[np.bool_]:
        """Whether each exit's answer is right (E, N)."""
        right: NDArray[np.bool_] = self.logits.argmax(axis=-1) == self.labels
        return right

    def costs(self) -> NDArray[np.float64]:
        """Relative cost of answering at each exit (E, N); 1.0 is full depth with no small tier."""
        return cost.relative(self.exits, self.tokens)
