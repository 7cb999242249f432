"""From a bundle to its report: on its own evidence, or on a labelled file that it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from offramp.bundle import DEFAULT_PRECISION, read_evidence, read_manifest
from offramp.decision.confidence import Measure
from offramp.errors import OfframpError
from training import evaluate
from training.data import Columns, LabelledTexts, Text, source_name
from training.parting import part
from training.report.compose import compose
from training.report.page import render
from training.report.sources import Sources, own_rows
from training.report.timing import seconds_to_exits

SHOWN = 3


class ReportError(OfframpError):
    """A report that cannot be made; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """data: a labelled file that the bundle never saw; None for the bundle's own evidence.

    shown: example texts of each kind; they stand in the report as they are, 0 leaves them out.
    """

    bundle: Path
    out: Path
    data: Path | str | None = None
    columns: Columns = field(default_factory=Columns)
    measure: Measure = Measure.MAX_PROB
    precision: str = DEFAULT_PRECISION
    shown: int = SHOWN


def run(settings: ReportSettings) -> Path:
    """Write the report of a bundle; return where it is.

    Raises BundleError, ReportError, and what `evaluate.score` raises.
    """
    found = _own(settings) if settings.data is None else _scored(settings, settings.data)
    return _written(found, settings)


def write(
    bundle: Path, out: Path, held_out: LabelledTexts, readout_share: float, seed: int
) -> Path:
    """Write the report of a bundle just trained, with examples; return where it is.

    held_out, readout_share, seed: what `training.calibrate` took the evidence from: bundles hold no
    texts.
    """
    parts = part(held_out, readout_share, seed)
    rows = np.union1d(parts.choosing, parts.certifying)
    settings = ReportSettings(bundle, out)
    return _written(_own(settings, [held_out.texts[row] for row in rows]), settings)


def _own(settings: ReportSettings, texts: Sequence[Text] | None = None) -> Sources:
    """The bundle's own evidence. texts: of the evidence, one by one, where they are at hand."""
    manifest = read_manifest(settings.bundle)
    precisions = {tier.name: settings.precision for tier in manifest.tiers}
    evidence = read_evidence(settings.bundle, manifest, precisions)
    rows = own_rows(evidence)
    return Sources(
        manifest=manifest,
        evidence=evidence,
        measured=evidence.subset(rows),
        measure=settings.measure,
        texts=None if texts is None else tuple(texts[row] for row in rows),
        precision=settings.precision,
    )


def _scored(settings: ReportSettings, data: Path | str) -> Sources:
    scored = evaluate.score(
        settings.bundle, data, settings.columns, settings.precision, settings.measure
    )
    return Sources(
        manifest=scored.manifest,
        evidence=scored.evidence,
        measured=scored.examples,
        measure=settings.measure,
        data=source_name(data),
        texts=scored.texts,
        seconds=seconds_to_exits(scored.tiers, scored.texts, settings.precision),
        precision=settings.precision,
    )


def _written(sources: Sources, settings: ReportSettings) -> Path:
    """The page appears whole or not at all."""
    _check(sources)
    text = render(compose(sources, settings.shown))
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    partial = settings.out.with_name(f".{settings.out.name}.partial")
    partial.write_text(text, encoding="utf-8")
    return partial.replace(settings.out)


def _check(sources: Sources) -> None:
    name = sources.manifest.name
    if not np.any(~sources.evidence.certifies):
        raise ReportError(
            f"bundle {name!r} has no evidence to choose thresholds on; take it anew with "
            "`offramp calibrate`, or retrain the bundle"
        )
    evaluate.check_measure(sources.evidence, sources.measure)
