"""A way to answer with the exits of a bundle, and what comes of it on labelled examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from offramp.decision import cost
from offramp.decision.calibration import fit_temperature
from offramp.decision.calibrators import Calibrator, Temperature
from offramp.decision.confidence import Measure
from offramp.decision.evidence import Evidence
from offramp.decision.readout import Readout
from offramp.decision.simulate import chosen_exits
from training.readouts.calibrators import pick


@dataclass(frozen=True, slots=True)
class View:
    """The exits that a method uses (their places in the evidence) and how it reads each of them."""

    exits: tuple[int, ...]
    readouts: tuple[Readout, ...]

    def of(self, evidence: Evidence) -> Evidence:
        """The evidence with these exits and readouts alone."""
        places = list(self.exits)
        return Evidence(
            exits=tuple(evidence.exits[place] for place in places),
            logits=evidence.logits[places],
            labels=evidence.labels,
            tokens=evidence.tokens,
            readouts=self.readouts,
            certifies=evidence.certifies,
        )


@dataclass(frozen=True, slots=True)
class Cascade:
    """A view with a threshold per exit, and what the thresholds are compared with."""

    view: View
    measure: Measure
    thresholds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a cascade did with N examples.

    exits: places in the evidence.  answers: labels.  flops: spent. All (N,).
    """

    exits: NDArray[np.intp]
    answers: NDArray[np.intp]
    flops: NDArray[np.float64]


@dataclass(frozen=True)
class Examples:
    """Labelled examples beside what the full model says of them: the measure of every method.

    evidence: its last exit is the full model.
    full_calibrator: of the full model; fitted on other examples, or on the choosing ones.
    """

    evidence: Evidence
    full_calibrator: Calibrator

    @property
    def labels(self) -> NDArray[np.int64]:
        """The right answers (N,)."""
        return self.evidence.labels

    @cached_property
    def believed(self) -> NDArray[np.float64]:
        """The full model's calibrated probabilities (N, C)."""
        return self.full_calibrator.probabilities(self.evidence.logits[-1])

    @cached_property
    def full(self) -> Outcome:
        """The full model answering everything, with nothing before it."""
        last = len(self.evidence.exits) - 1
        return Outcome(
            np.full(len(self.labels), last),
            self.evidence.logits[-1].argmax(axis=-1),
            self.evidence.exits[last].flops.at(self.evidence.tokens),
        )

    def run(self, cascades: Sequence[Cascade]) -> tuple[Outcome, ...]:
        """What each cascade would do; those of one view share its readings."""
        seen = {cascade.view: cascade.view.of(self.evidence) for cascade in cascades}
        spent = {view: spending(evidence) for view, evidence in seen.items()}
        return tuple(_run(c, seen[c.view], spent[c.view]) for c in cascades)


def spending(evidence: Evidence) -> NDArray[np.float64]:
    """FLOPs (E, N) of answering each example at each exit, all tiers before it included."""
    return np.stack([curve.at(evidence.tokens) for curve in cost.cumulative(evidence.exits)])


def _run(cascade: Cascade, evidence: Evidence, spent: NDArray[np.float64]) -> Outcome:
    left = chosen_exits(evidence.confidences(cascade.measure), cascade.thresholds)
    rows = np.arange(len(left))
    places = np.asarray(cascade.view.exits, dtype=np.intp)
    return Outcome(places[left], evidence.answers()[left, rows], spent[left, rows])


def examples_of(evidence: Evidence) -> Examples:
    """Examples whose full model is calibrated on themselves: for evidence to choose on."""
    return Examples(evidence, pick(evidence.logits[-1], evidence.labels, seed=0))


def plain(evidence: Evidence, exits: Sequence[int], calibrated: bool = True) -> View:
    """Exits read as the papers read them: their own logits, over a temperature fitted on evidence.

    calibrated: without it, the logits as they are.
    """
    values = [
        fit_temperature(evidence.logits[place], evidence.labels) if calibrated else 1.0
        for place in exits
    ]
    return View(tuple(exits), tuple(Readout(Temperature(value)) for value in values))
