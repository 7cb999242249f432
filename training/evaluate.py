"""Figures of a finished bundle on a labelled file that it has never seen."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from offramp.bundle import DEFAULT_PRECISION, Manifest, read_evidence, read_manifest
from offramp.decision.confidence import Measure
from offramp.decision.evidence import Evidence
from offramp.errors import OfframpError
from services.models.loading import TierModel, load_tier
from training import calibrate, card, provenance
from training.data import Columns, LabelledTexts, Text, read_labelled
from training.figures import METRICS, Figures, figures


class MismatchError(OfframpError):
    """The file's texts are not of the kind that the bundle classifies."""


class MeasureError(OfframpError):
    """A measure of confidence that the bundle's exits do not give."""


@dataclass(frozen=True, slots=True)
class EvaluateSettings:
    """data: labelled texts, a file or a dataset by name.

    record: a name under which the figures enter the bundle's metrics and model card.
    """

    bundle: Path
    data: Path | str
    columns: Columns
    measure: Measure = Measure.MAX_PROB
    record: str | None = None
    precision: str = DEFAULT_PRECISION


@dataclass(frozen=True, slots=True)
class Scored:
    """A bundle and a labelled file: the bundle's own evidence, and what its exits say of the file.

    examples: one for every row of the file, so that a text that stands in it twice counts twice.
    texts: of the examples, one by one.
    """

    manifest: Manifest
    evidence: Evidence
    examples: Evidence
    texts: tuple[Text, ...]
    tiers: tuple[TierModel, ...]


def score(
    bundle: Path,
    data: Path | str,
    columns: Columns,
    precision: str = DEFAULT_PRECISION,
    measure: Measure = Measure.MAX_PROB,
) -> Scored:
    """Every row at every exit, all tiers in one precision.

    Evidence and readouts are those of that precision.  measure: what will be read from them.
    Raises BundleError, MeasureError, and as `texts_for`.
    """
    manifest = read_manifest(bundle)
    evidence = read_evidence(bundle, manifest, {tier.name: precision for tier in manifest.tiers})
    check_measure(evidence, measure)
    distinct = texts_for(bundle, manifest, data, columns)
    tiers = [load_tier(bundle, tier.name) for tier in manifest.tiers]
    logits, tokens = calibrate.cascade_logits(tiers, distinct, precision)
    places, labels = distinct.by_row()
    examples = calibrate.evidence_of(
        manifest.tiers, logits[:, places], labels, tokens[places], precision=precision
    )
    texts = tuple(distinct.texts[place] for place in places)
    return Scored(manifest, evidence, examples, texts, tuple(tiers))


def check_measure(evidence: Evidence, measure: Measure) -> None:
    """Raise MeasureError, with a remedy, where an exit lacks what a measure takes."""
    try:
        evidence.check_measure(measure)
    except ValueError as error:
        raise MeasureError(str(error)) from None


def texts_for(
    bundle: Path, manifest: Manifest, data: Path | str, columns: Columns
) -> LabelledTexts:
    """Labelled texts for a bundle, under the names that it gives to labels.

    Raises DataError, and MismatchError for pairs where single texts are classified.
    """
    made = provenance.read(bundle)
    texts = read_labelled(data, columns, made["rename"], manifest.labels)
    if texts.pairs != manifest.pairs:
        kinds = ("single texts", "pairs")
        raise MismatchError(
            f"{data} holds {kinds[texts.pairs]}, bundle {manifest.name!r} classifies "
            f"{kinds[manifest.pairs]}; choose the columns with --text-column and --pair-column"
        )
    return texts


def run(settings: EvaluateSettings) -> Figures:
    """Figures of a file; thresholds of the dial come from the bundle's evidence."""
    scored = score(
        settings.bundle, settings.data, settings.columns, settings.precision, settings.measure
    )
    found = figures(scored.evidence, scored.examples, settings.measure)
    if settings.record is not None:
        _record(settings.bundle, settings.record, found)
        card.render(settings.bundle, scored.manifest)
    return found


def _record(bundle: Path, name: str, found: Figures) -> None:
    path = bundle / METRICS
    metrics = json.loads(path.read_text(encoding="utf-8"))
    metrics[name] = found.as_dict()
    path.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
