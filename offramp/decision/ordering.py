"""An ordering: the scores of one exit from the highest on, and where a threshold can part them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.decision.plan import NEVER


@dataclass(frozen=True, slots=True)
class Ordering:
    """N examples in the order in which an ever lower threshold lets them leave.

    order: (N,) places of the examples.  scores: (N,) descending.
    """

    order: NDArray[np.intp]
    scores: NDArray[np.float64]

    @classmethod
    def of(cls, scores: NDArray[np.float64]) -> Ordering:
        """Order scores (N,); equal ones keep their order."""
        order = np.argsort(-scores, kind="stable")
        return cls(order, scores[order])

    @property
    def cuts(self) -> NDArray[np.intp]:
        """How many examples can leave: none, all, and wherever the score changes.

        A threshold cannot part equal scores.
        """
        changes = self.scores[1:] < self.scores[:-1]
        return np.flatnonzero(np.concatenate(([True], changes, [True])))

    def threshold(self, leaving: int) -> float:
        """The threshold that lets so many examples leave, one of `cuts`.

        1 where none does, 0 where all do, else midway between the last to leave and the next.
        """
        if leaving == 0:
            return NEVER
        if leaving == len(self.scores):
            return 0.0
        return float((self.scores[leaving - 1] + self.scores[leaving]) / 2)

    def best_threshold(self, advantage: NDArray[np.float64]) -> float:
        """The threshold t that maximises the summed `advantage` (N,) of leaving where score >= t.

        Ties go to the higher threshold (the deeper answer).
        """
        gains = np.concatenate(([0.0], np.cumsum(advantage[self.order])))
        cuts = self.cuts
        return self.threshold(int(cuts[np.argmax(gains[cuts])]))
