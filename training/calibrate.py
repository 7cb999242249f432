"""Readouts and evidence, from the models as the bundle holds them, run as they will be served."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from offramp.bundle import (
    DEFAULT_PRECISION,
    Manifest,
    TierSpec,
    content_id,
    write_evidence,
    write_manifest,
)
from offramp.decision.confidence import Measure
from offramp.decision.cost import ExitCost
from offramp.decision.evidence import Evidence
from offramp.decision.readout import Readout
from services.backends.base import Backend
from services.backends.opening import backend_of
from services.models.loading import TierModel
from training import progress, readouts
from training.compare.cascade import examples_of
from training.compare.methods import OURS
from training.compare.operating import mean_cost
from training.data import LabelledTexts
from training.figures import METRICS, figures
from training.parting import part

# As many rows as a tier runs together by default.
BATCH = 32


# Raw logits (E, N, C) of a tier's exits and tokens (N,), by its name and a precision.
Known: TypeAlias = dict[tuple[str, str], tuple[NDArray[np.float32], NDArray[np.int64]]]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Tiers with their readouts, and the evidence in each precision."""

    specs: tuple[TierSpec, ...]
    evidence: Mapping[str, Evidence]


def calibrate(
    tiers: Sequence[TierModel],
    held_out: LabelledTexts,
    precisions: Sequence[str],
    readout_share: float,
    seed: int,
    *,
    known: Known | None = None,
) -> Calibrated:
    """Fit readouts and take evidence in each precision, on texts that the models never saw.

    Of the held-out texts `readout_share` is for the readouts; one half of the rest is for choosing
    thresholds, the other for certifying them. Raises TooFewToCalibrateError.

    known: what tiers said of these texts before; what they are asked here is added.
    """
    parts = part(held_out, readout_share, seed)
    rest = np.union1d(parts.choosing, parts.certifying)
    certifies = np.isin(rest, parts.certifying)
    specs = [replace(tier.spec, readouts={}) for tier in tiers]
    evidence = {}
    for precision in precisions:
        logits, tokens = cascade_logits(tiers, held_out, precision, known)
        first, labels = logits[:, parts.readouts], held_out.labels[parts.readouts]
        exits = [len(spec.exits) for spec in specs]
        candidates = []
        for mixing in (False, True):
            found = _with_readouts(
                specs, readouts.fit(first, labels, exits, seed, mixing), precision
            )
            taken = evidence_of(
                found,
                logits[:, rest],
                held_out.labels[rest],
                tokens[rest],
                certifies=certifies,
                precision=precision,
            )
            candidates.append((found, taken))
        specs, evidence[precision] = min(candidates, key=lambda found: _cost(found[1]))
    return Calibrated(tuple(specs), evidence)


def _cost(evidence: Evidence) -> float:
    """What the cascade is expected to cost, by the texts that thresholds are chosen on.

    A combination of exits may be the better calibrated and still answer worse.
    """
    examples = examples_of(evidence.choosing)
    return mean_cost(examples, OURS.cascades(examples.evidence))


def cascade_logits(
    tiers: Sequence[TierModel],
    data: LabelledTexts,
    precision: str = DEFAULT_PRECISION,
    known: Known | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Raw logits (E, N, C) of all exits of the cascade, and tokens (N,) in the last tier.

    By the backend that serves, in the precision that it is to serve in.
    """
    known = Known() if known is None else known
    asked = [(tier.spec.name, precision) for tier in tiers]
    for key, tier in zip(asked, tiers, strict=True):
        if key not in known:
            backend = backend_of(tier, precision)
            known[key] = exit_logits(backend, data, f"{tier.spec.name} tier, {precision}")
    return np.concatenate([known[key][0] for key in asked]), known[asked[-1]][1]


def exit_logits(
    backend: Backend[Any], data: LabelledTexts, title: str
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Raw logits (E, N, C) of every exit of a tier, and tokens (N,), in batches of like length."""
    backend.prepare()
    encoded = backend.encode([(text.text, text.pair) for text in data.texts])
    tokens = np.asarray([row.tokens for row in encoded], dtype=np.int64)
    order = np.argsort(tokens, kind="stable")
    batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    logits = np.empty((backend.stages, len(data), len(data.label_names)), dtype=np.float32)
    with progress.step(f"{title}: texts", len(batches)) as bar:
        for rows in batches:
            states = backend.begin([encoded[row] for row in rows])
            for stage in range(backend.stages):
                states, logits[stage, rows] = backend.run_stage(stage, states)
            bar.advance()
    return logits, tokens


def evidence_of(
    specs: Sequence[TierSpec],
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    tokens: NDArray[np.int64],
    *,
    certifies: NDArray[np.bool_] | None = None,
    precision: str = DEFAULT_PRECISION,
) -> Evidence:
    """Evidence of examples under the tiers' readouts; without `certifies` none certifies."""
    if certifies is None:
        certifies = np.zeros(len(labels), dtype=bool)
    return Evidence(
        exits=tuple(ExitCost(e.name, spec.name, e.flops) for spec in specs for e in spec.exits),
        logits=logits,
        labels=labels,
        tokens=tokens,
        readouts=tuple(r for spec in specs for r in spec.readouts_in(precision)),
        certifies=certifies,
    )


def _with_readouts(
    specs: Sequence[TierSpec], found: Sequence[Readout], precision: str
) -> list[TierSpec]:
    """The tiers with readouts, one per exit of the cascade, in one precision more."""
    rest = iter(found)
    return [
        replace(spec, readouts={**spec.readouts, precision: tuple(next(rest) for _ in spec.exits)})
        for spec in specs
    ]


def enter(directory: Path, manifest: Manifest, calibrated: Calibrated) -> Manifest:
    """Write readouts, evidence and their figures into a bundle; return its manifest, with a new id.

    Figures recorded before are of other readouts: they go.
    """
    specs = calibrated.specs
    manifest = replace(manifest, tiers=specs, id=content_id(manifest.files, specs))
    found = {
        _title(precision): figures(taken.choosing, taken.certifying, Measure.MAX_PROB).as_dict()
        for precision, taken in calibrated.evidence.items()
    }
    write_evidence(directory, manifest, calibrated.evidence)
    write_manifest(directory, manifest)
    (directory / METRICS).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return manifest


def _title(precision: str) -> str:
    return "evidence" if precision == DEFAULT_PRECISION else f"evidence in {precision}"
