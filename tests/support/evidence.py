"""Evidence out of thin air: a cascade whose exits grow better with depth, more or less."""

from __future__ import annotations

import numpy as np

from offramp.decision.calibrators import Temperature
from offramp.decision.cost import CostCurve, ExitCost
from offramp.decision.evidence import Evidence
from offramp.decision.readout import Readout


def make_evidence(
    exits: int, examples: int = 120, seed: int = 0, small: bool = True, noise: float = 0.6
) -> Evidence:
    """A small tier (unless told otherwise) and `exits` layers of a large one, of two labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, examples)
    hardness = rng.normal(1.5, 1.0, examples)
    depths = ([0.3] if small else []) + [(i + 1) / exits for i in range(exits)]
    margins = [
        depth * hardness + noise * rng.normal(0, 1.0, examples) * (1.2 - depth) for depth in depths
    ]
    signs = 2 * labels - 1
    logits = np.stack([np.stack([-m * signs, m * signs], axis=-1) for m in margins])
    costs = [ExitCost("small", "small", CostCurve(0.0, 0.02, 0.0))] if small else []
    costs += [
        ExitCost(f"large@{i}", "large", CostCurve(0.0, float(i), 0.01)) for i in range(1, exits + 1)
    ]
    return Evidence(
        exits=tuple(costs),
        logits=logits.astype(np.float32),
        labels=labels.astype(np.int64),
        tokens=rng.integers(4, 60, examples),
        readouts=(Readout(Temperature(0.7)),) * len(costs),
        certifies=np.zeros(examples, dtype=bool),
    )
