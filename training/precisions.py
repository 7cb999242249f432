"""Evidence in every precision that a cascade is to be served in; int8 quantises its tiers first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from offramp.bundle import DEFAULT_PRECISION, PRECISIONS
from services.models.loading import TierModel
from training import calibrate, progress, quantise
from training.calibrate import Calibrated, Known
from training.data import LabelledTexts
from training.parting import part
from training.quantise import QuantisationError

INT8 = "int8"


def calibrated(
    tiers: Sequence[TierModel],
    texts: LabelledTexts,
    wanted: Collection[str],
    folder: Path,
    *,
    readout_share: float,
    seed: int,
) -> tuple[list[TierModel], Calibrated]:
    """Readouts and evidence in the precisions wanted, and the tiers as they were asked for it.

    For int8 the tiers are quantised into folder/<tier>, unless their bundle has that already; with
    SmoothQuant, which makes a bundle larger, where one loses too much without. All of it is taken
    on the same texts, since tiers of one cascade may run in different precisions.

    Raises QuantisationError where a tier loses too much all the same, BundleError where one cannot
    run in int8, TooFewToCalibrateError.
    """
    precisions = [precision for precision in PRECISIONS if precision in wanted]
    made, known = list(tiers), Known()
    if INT8 in wanted:
        ranging = texts.subset(part(texts, readout_share, seed).readouts)
        made = [quantise.quantised(tier, ranging, folder) for tier in tiers]
    smoothed: set[str] = set()
    while True:
        found = calibrate.calibrate(made, texts, precisions, readout_share, seed, known=known)
        if INT8 not in wanted:
            return made, found
        try:
            quantise.check(found.evidence[DEFAULT_PRECISION], found.evidence[INT8])
        except QuantisationError as error:
            place = next(i for i, tier in enumerate(tiers) if tier.spec.name == error.tier)
            if error.tier in smoothed or quantise.listed(tiers[place]):
                raise
            progress.say(f"{error.loss}: SmoothQuant may help")
            made[place] = quantise.quantised(tiers[place], ranging, folder, smooth=True)
            smoothed.add(error.tier)
            del known[error.tier, INT8]
        else:
            return made, found
