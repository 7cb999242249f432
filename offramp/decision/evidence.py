"""Evidence: the logits of every exit on held-out examples, from which thresholds are derived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from offramp.decision import cost
from offramp.decision.confidence import Measure
from offramp.decision.consensus import consensus
from offramp.decision.readout import Readout


@dataclass(frozen=True)
class Evidence:
    """What every exit of the cascade said of N examples that nothing of it was fitted on.

    exits: E exits in the order of the cascade.
    logits: (E, N, C), raw.  labels: (N,).  tokens: (N,).
    readouts: (E,), fitted on other examples than these.
    certifies: (N,), whether an example is kept for testing guarantees; thresholds are chosen on the
        others.
    """

    exits: tuple[cost.ExitCost, ...]
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    tokens: NDArray[np.int64]
    readouts: tuple[Readout, ...]
    certifies: NDArray[np.bool_]

    def __post_init__(self) -> None:
        expected = (len(self.exits), len(self.labels))
        if self.logits.ndim != 3 or self.logits.shape[:2] != expected:
            raise ValueError(f"logits have shape {self.logits.shape}, expected {expected} + (C,)")
        if len(self.readouts) != len(self.exits):
            raise ValueError(f"{len(self.readouts)} readouts for {len(self.exits)} exits")
        if not len(self.labels) == len(self.tokens) == len(self.certifies):
            raise ValueError("labels, tokens and certifies must have one entry per example")

    @property
    def exit_names(self) -> tuple[str, ...]:
        """Names of the exits, in the order of the cascade."""
        return tuple(e.name for e in self.exits)

    def check_measure(self, measure: Measure) -> None:
        """Raise ValueError, with a remedy, where an exit lacks what a measure takes."""
        pairs = zip(self.exit_names, self.readouts, strict=True)
        without = [name for name, readout in pairs if readout.score is None]
        if measure is Measure.LEARNED and without:
            raise ValueError(
                f"this bundle has no learned score for {', '.join(without)}; add scores with "
                "`offramp calibrate BUNDLE DATA`, or choose max_prob, margin or entropy"
            )

    def history(self, exit_index: int) -> NDArray[np.float32]:
        """Raw logits (D, N, C) of an exit's tier up to and including that exit."""
        tier = self.exits[exit_index].tier
        first = next(i for i, e in enumerate(self.exits) if e.tier == tier)
        return self.logits[first : exit_index + 1]

    def probabilities(self) -> NDArray[np.float64]:
        """Calibrated probabilities (E, N, C). Read-only: worked out once."""
        return self._probabilities

    @cached_property
    def _probabilities(self) -> NDArray[np.float64]:
        found = np.stack(
            [readout.probabilities(self.history(i)) for i, readout in enumerate(self.readouts)]
        )
        found.flags.writeable = False
        return found

    def confidences(self, measure: Measure) -> NDArray[np.float64]:
        """Confidence at every exit (E, N). Read-only: worked out once per measure.

        Raises ValueError for Measure.LEARNED where an exit has no score.
        """
        if measure not in self._confidences:
            found = np.stack(
                [
                    readout.confidence_of(self._probabilities[i], self.history(i), measure)
                    for i, readout in enumerate(self.readouts)
                ]
            )
            found.flags.writeable = False
            self._confidences[measure] = found
        return self._confidences[measure]

    @cached_property
    def _confidences(self) -> dict[Measure, NDArray[np.float64]]:
        return {}

    def answers(self) -> NDArray[np.intp]:
        """The label that each exit finds likeliest (E, N)."""
        likeliest: NDArray[np.intp] = self._probabilities.argmax(axis=-1)
        return likeliest

    @cached_property
    def consensus(self) -> NDArray[np.float64]:
        """What the labels are likely to be (N, C), by all exits together."""
        return consensus(self._probabilities, self.labels)

    def correct(self) -> NDArray[np.bool_]:
        """Whether each exit's answer is right (E, N)."""
        right: NDArray[np.bool_] = self.answers() == self.labels
        return right

    def costs(self) -> NDArray[np.float64]:
        """Relative cost of answering at each exit (E, N); 1.0 is full depth with no small tier."""
        return cost.relative(self.exits, self.tokens)

    def subset(self, indices: Sequence[int] | NDArray[np.integer]) -> Evidence:
        """The examples at `indices`, in that order."""
        rows = np.asarray(indices, dtype=np.intp)
        return Evidence(
            exits=self.exits,
            logits=self.logits[:, rows],
            labels=self.labels[rows],
            tokens=self.tokens[rows],
            readouts=self.readouts,
            certifies=self.certifies[rows],
        )

    @cached_property
    def choosing(self) -> Evidence:
        """The examples that thresholds are chosen on."""
        return self.subset(np.flatnonzero(~self.certifies))

    @cached_property
    def certifying(self) -> Evidence:
        """The examples that guarantees are tested on; none of them is among `choosing`."""
        return self.subset(np.flatnonzero(self.certifies))
