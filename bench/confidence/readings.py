"""Ways to read out the exits: each calibrator, with and without the mix of exits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

from offramp.decision.evidence import Evidence
from offramp.decision.readout import Readout
from training.readouts.calibrators import FITS
from training.readouts.fit import with_scores
from training.readouts.mixing import fit_mix


@dataclass(frozen=True, slots=True)
class Reading:
    """A calibrator by name (see `training.readouts.calibrators`), at every exit alike.

    mixed: whether it reads the learned mix of the tier's exits so far.
    """

    calibrator: str
    mixed: bool

    @property
    def name(self) -> str:
        """As tables call it."""
        return self.calibrator.replace("_", " ") + (", mixed" if self.mixed else "")


READINGS = tuple(Reading(*chosen) for chosen in product(FITS, (False, True)))


def read(evidence: Evidence, reading: Reading) -> Evidence:
    """The evidence with readouts of one kind, learned scores included, fitted on itself."""
    count = len(evidence.exits)
    histories = [evidence.history(place) for place in range(count)]
    plain = []
    for history in histories:
        mix = fit_mix(history, evidence.labels) if reading.mixed and len(history) > 1 else None
        calibrator = FITS[reading.calibrator](Readout(mix=mix).mixed(history), evidence.labels)
        plain.append(Readout(calibrator, mix))
    return replace(evidence, readouts=with_scores(plain, histories, evidence.labels))
