"""Figures of a finished bundle on a labelled file that it has never seen."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from offramp.bundle import read_evidence, read_manifest
from offramp.decision.confidence import Measure
from offramp.errors import OfframpError
from services.models.loading import load_tier
from training import calibrate, card
from training.data import Columns, read_labelled
from training.figures import Figures, figures


class MismatchError(OfframpError):
    """The file's texts are not of the kind that the bundle classifies."""


@dataclass(frozen=True, slots=True)
class EvaluateSettings:
    """record: a name under which the figures enter the bundle's metrics and model card."""

    bundle: Path
    data: Path
    columns: Columns
    measure: Measure = Measure.MAX_PROB
    record: str | None = None


def run(settings: EvaluateSettings) -> Figures:
    """Score every text at every exit; thresholds of the dial come from the bundle's evidence."""
    manifest = read_manifest(settings.bundle)
    evidence = read_evidence(settings.bundle, manifest)
    made = json.loads((settings.bundle / card.TRAINING).read_text(encoding="utf-8"))
    data = read_labelled(settings.data, settings.columns, made["rename"], manifest.labels)
    if data.pairs != manifest.pairs:
        kinds = ("single texts", "pairs")
        raise MismatchError(
            f"{settings.data} holds {kinds[data.pairs]}, bundle {manifest.name!r} classifies "
            f"{kinds[manifest.pairs]}; choose the columns with --text-column and --pair-column"
        )
    tiers = [load_tier(settings.bundle, tier.name) for tier in manifest.tiers]
    logits, tokens = calibrate.cascade_logits(tiers, data)
    examples = calibrate.evidence_of(list(manifest.tiers), logits, data.labels, tokens)
    found = figures(evidence, examples, settings.measure)
    if settings.record is not None:
        _record(settings.bundle, settings.record, found)
        card.render(settings.bundle, manifest)
    return found


def _record(bundle: Path, name: str, found: Figures) -> None:
    path = bundle / card.METRICS
    metrics = json.loads(path.read_text(encoding="utf-8"))
    metrics[name] = found.as_dict()
    path.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
