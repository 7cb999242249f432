"""Temperatures and evidence, from the models as the bundle holds them.

The held-out texts are parted: temperatures are fitted on one part, the rest becomes the evidence
that thresholds are chosen on.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.bundle import ExitSpec, TierSpec
from offramp.decision.calibration import fit_temperature
from offramp.decision.cost import ExitCost
from offramp.decision.evidence import Evidence
from offramp.errors import OfframpError
from services.models.loading import TierModel
from training.batches import encode
from training.data import LabelledTexts
from training.large import score

LEAST_PER_PART = 50


class TooFewToCalibrateError(OfframpError):
    """The held-out part is too small to say anything about confidence."""


def parts(
    count: int, temperature_share: float, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions of the held-out texts for temperatures, and for evidence."""
    order = np.random.default_rng(seed).permutation(count)
    cut = round(count * temperature_share)
    if min(cut, count - cut) < LEAST_PER_PART:
        least = int(np.ceil(LEAST_PER_PART / min(temperature_share, 1 - temperature_share)))
        raise TooFewToCalibrateError(
            f"{count} texts are held out, at least {least} are needed to calibrate; "
            "bring more data or raise --hold-out"
        )
    return np.sort(order[:cut]), np.sort(order[cut:])


def cascade_logits(
    tiers: list[TierModel], data: LabelledTexts
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits (E, N, C) of all exits of the cascade, and tokens (N,) in the last tier."""
    found, tokens = [], np.zeros(len(data), dtype=np.int64)
    for tier in tiers:
        encoded = encode(tier.tokenizer, data.texts, tier.spec.max_tokens)
        found.append(score(tier.network, encoded, f"{tier.spec.name} tier: held-out texts"))
        tokens = encoded.lengths
    return np.concatenate(found), tokens


def fitted(
    specs: list[TierSpec], logits: NDArray[np.float32], labels: NDArray[np.int64]
) -> list[TierSpec]:
    """The tiers with the temperature of every exit fitted on logits (E, N, C)."""
    per_exit = iter(logits)
    return [
        replace(
            spec,
            exits=tuple(
                ExitSpec(e.name, e.flops, fit_temperature(next(per_exit), labels))
                for e in spec.exits
            ),
        )
        for spec in specs
    ]


def evidence_of(
    specs: list[TierSpec],
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    tokens: NDArray[np.int64],
) -> Evidence:
    """Evidence of examples under the tiers' temperatures."""
    exits = tuple(ExitCost(e.name, spec.name, e.flops) for spec in specs for e in spec.exits)
    temperatures = tuple(e.temperature for spec in specs for e in spec.exits)
    return Evidence(exits, logits.astype(np.float32), labels, tokens, temperatures)


def folder_size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
