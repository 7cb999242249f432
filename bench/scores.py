"""What the exits of a bundle say of a test file: worked out once per bundle, and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.datasets import read_test
from offramp.bundle import file_hash, read_manifest
from offramp.decision.cost import ExitCost
from offramp.decision.evidence import Evidence
from services.models.loading import load_tier
from training import calibrate
from training.data import LabelledTexts


def scored(bundle: Path, data: Path, work: Path) -> tuple[Evidence, LabelledTexts]:
    """Every row of a test file at every exit, under the bundle's own readouts; and its texts."""
    manifest = read_manifest(bundle)
    texts = read_test(data, manifest.labels)
    cache = work / f"{manifest.id}-{file_hash(data)[:8]}.npz"
    if not cache.is_file():
        _score(bundle, [tier.name for tier in manifest.tiers], texts, cache)
    with np.load(cache) as kept:
        logits, tokens = kept["logits"], kept["tokens"]
    return calibrate.evidence_of(list(manifest.tiers), logits, texts.labels, tokens), texts


def _score(bundle: Path, tiers: Sequence[str], texts: LabelledTexts, cache: Path) -> None:
    logits, tokens = calibrate.cascade_logits([load_tier(bundle, tier) for tier in tiers], texts)
    partial = cache.with_suffix(".partial.npz")
    np.savez(partial, logits=logits, tokens=tokens)
    partial.rename(cache)


def joined(cascade: Evidence, alone: Mapping[str, Evidence]) -> Evidence:
    """A bundle's evidence, preceded by the last exits of other bundles as tiers of those names.

    Raises ValueError where one of them is not of the same examples.
    """
    for name, other in alone.items():
        same = (cascade.labels, cascade.tokens, cascade.certifies)
        if not all(map(np.array_equal, same, (other.labels, other.tokens, other.certifies))):
            raise ValueError(
                f"{name} was held out other examples than the bundle it is compared to"
            )
    last = [(name, other.exits[-1].flops, other) for name, other in alone.items()]
    return Evidence(
        exits=(*(ExitCost(name, name, flops) for name, flops, _ in last), *cascade.exits),
        logits=np.concatenate([*(other.logits[-1:] for *_, other in last), cascade.logits]),
        labels=cascade.labels,
        tokens=cascade.tokens,
        readouts=(*(other.readouts[-1] for *_, other in last), *cascade.readouts),
        certifies=cascade.certifies,
    )


def pooled(first: Evidence, second: Evidence) -> Evidence:
    """Two sets of examples of one bundle as one."""
    return replace(
        first,
        logits=np.concatenate([first.logits, second.logits], axis=1),
        labels=np.concatenate([first.labels, second.labels]),
        tokens=np.concatenate([first.tokens, second.tokens]),
        certifies=np.concatenate([first.certifies, second.certifies]),
    )
