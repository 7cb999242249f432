"""Readouts and evidence taken anew for a finished bundle: on newer texts, or in more precisions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from offramp.bundle import (
    DEFAULT_PRECISION,
    EVIDENCE,
    MANIFEST,
    PRECISIONS,
    Manifest,
    read_manifest,
)
from services.models.loading import load_tier
from training import calibrate, card
from training.corpus import mention_unheard
from training.data import Columns, LabelledTexts, source_name
from training.evaluate import texts_for
from training.figures import METRICS
from training.parting import READOUT_SHARE
from training.workplace import workplace


@dataclass(frozen=True, slots=True)
class RecalibrateSettings:
    """data: labelled texts that the bundle's models never saw.

    precisions: to have evidence in, besides those that the bundle has it in already.
    """

    bundle: Path
    data: Path | str
    columns: Columns
    precisions: tuple[str, ...] = ()
    readout_share: float = READOUT_SHARE
    seed: int = 0


def run(settings: RecalibrateSettings) -> Manifest:
    """Fit readouts and take evidence on the file; the bundle gets them, and with them a new id.

    All precisions are taken anew: tiers of one cascade may run in different ones, so every exit
    must have been asked about the same texts. Raises OfframpError subclasses; the bundle stays as
    it is then.
    """
    directory, manifest = settings.bundle, read_manifest(settings.bundle)
    texts = _unambiguous(texts_for(directory, manifest, settings.data, settings.columns))
    mention_unheard(texts)
    tiers = [load_tier(directory, tier.name) for tier in manifest.tiers]
    wanted = {DEFAULT_PRECISION, *settings.precisions}.union(*(t.readouts for t in manifest.tiers))
    found = calibrate.calibrate(
        tiers,
        texts,
        [precision for precision in PRECISIONS if precision in wanted],
        settings.readout_share,
        settings.seed,
    )
    with workplace(directory / ".calibrating") as unfinished:
        manifest = calibrate.enter(unfinished, manifest, found)
        for name in (EVIDENCE, MANIFEST, METRICS):
            (unfinished / name).replace(directory / name)
    _note(directory, settings, len(texts))
    card.render(directory, manifest)
    return manifest


def _unambiguous(texts: LabelledTexts) -> LabelledTexts:
    """Without texts that the file gives several labels equally often: nothing is right for them."""
    return texts.subset(np.flatnonzero(texts.targets.max(axis=1) > 0.5))


def _note(directory: Path, settings: RecalibrateSettings, texts: int) -> None:
    path = directory / card.TRAINING
    record = json.loads(path.read_text(encoding="utf-8"))
    record |= {"calibrated_on": source_name(settings.data), "held_out_texts": texts}
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
