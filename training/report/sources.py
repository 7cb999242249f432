"""What a report is computed from, and which part of the examples each figure may use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.bundle import DEFAULT_PRECISION, Manifest
from offramp.decision.confidence import Measure
from offramp.decision.evidence import Evidence
from training.data import Text
from training.report.wording import counted


@dataclass(frozen=True, slots=True)
class Sources:
    """Thresholds are chosen on `choosing`; figures are taken on `measured`.

    measured: examples of a file, or the part of the evidence that certifies.
    data: the name of that file; None where it is the evidence.
    texts: of the measured examples, one by one; None where they are not at hand.
    seconds: measured seconds from a text to each exit, one text at a time; None where not timed.
    precision: what the models compute in, in the evidence and on the measured examples.
    """

    manifest: Manifest
    evidence: Evidence
    measured: Evidence
    measure: Measure = Measure.MAX_PROB
    data: str | None = None
    texts: tuple[Text, ...] | None = None
    seconds: tuple[float, ...] | None = None
    precision: str = DEFAULT_PRECISION

    @property
    def choosing(self) -> Evidence:
        """All of the evidence where figures are of a file, as the router has it; else a part."""
        return self.evidence.choosing if self.data is None else self.evidence

    @property
    def shared(self) -> bool:
        """Whether figures are taken on the very examples that thresholds were chosen on."""
        return self.data is None and not self.evidence.certifies.any()

    @property
    def measured_on(self) -> str:
        """The measured examples in words."""
        count = counted(len(self.measured.labels), "text")
        return f"the {count} of {self.data}" if self.data else f"{count} held out from training"


def own_rows(evidence: Evidence) -> NDArray[np.intp]:
    """Rows of the evidence that figures are taken on where no file is given.

    The certifying part, since no threshold was chosen there; all of it where there is no such part.
    """
    return np.flatnonzero(evidence.certifies if evidence.certifies.any() else ~evidence.certifies)
