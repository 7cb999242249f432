"""Readouts and evidence taken anew for a finished bundle: on newer texts, or in more precisions."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from offramp.bundle import (
    DEFAULT_PRECISION,
    EVIDENCE,
    MANIFEST,
    Manifest,
    read_manifest,
    tier_files,
)
from services.models.files import EXPORTED
from services.models.loading import TierModel, load_tier
from training import calibrate, card, precisions, provenance
from training.corpus import mention_unheard
from training.data import Columns, LabelledTexts, source_name
from training.evaluate import texts_for
from training.figures import METRICS
from training.parting import READOUT_SHARE
from training.precisions import INT8
from training.workplace import make_readable, workplace


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

    All precisions are taken anew (see `training.precisions`). Raises OfframpError subclasses; the
    bundle stays as it is then.
    """
    directory, manifest = settings.bundle, read_manifest(settings.bundle)
    texts = _unambiguous(texts_for(directory, manifest, settings.data, settings.columns))
    mention_unheard(texts)
    tiers = [load_tier(directory, tier.name) for tier in manifest.tiers]
    wanted = {DEFAULT_PRECISION, *settings.precisions}.union(*(t.readouts for t in manifest.tiers))
    with workplace(directory / ".calibrating") as unfinished:
        tiers, found = precisions.calibrated(
            tiers,
            texts,
            wanted,
            unfinished,
            readout_share=settings.readout_share,
            seed=settings.seed,
        )
        files = {**manifest.files, **tier_files(unfinished, manifest.tiers)}
        manifest = calibrate.enter(unfinished, replace(manifest, files=files), found)
        make_readable(unfinished)
        _move(unfinished, directory, tiers)
    provenance.note(
        directory, calibrated_on=source_name(settings.data), calibrated_texts=len(texts)
    )
    card.render(directory, manifest)
    return manifest


def _move(unfinished: Path, directory: Path, tiers: Sequence[TierModel]) -> None:
    """Bring what was made into the bundle; the manifest, which says what belongs to it, last."""
    for tier in tiers:
        if tier.quantised.is_relative_to(unfinished):
            target = directory / tier.spec.name / EXPORTED[INT8]
            shutil.rmtree(target, ignore_errors=True)
            tier.quantised.replace(target)
    for name in (EVIDENCE, METRICS, MANIFEST):
        (unfinished / name).replace(directory / name)


def _unambiguous(texts: LabelledTexts) -> LabelledTexts:
    """Without texts that the file gives several labels equally often: nothing is right for them."""
    return texts.subset(np.flatnonzero(texts.targets.max(axis=1) > 0.5))
