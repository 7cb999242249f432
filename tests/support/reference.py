"""What a tier should answer, worked out the plain way: one text, all exits, then the plan."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import torch

from offramp.decision.confidence import Measure
from offramp.decision.plan import ExitPlan
from tests.support import tiers

# Nearer to a threshold than this, rounding may decide.
TIE = 1e-4


@dataclass(frozen=True)
class Expected:
    """Of one text: the exit it leaves at, and the probabilities at every exit (E, C)."""

    stage: int
    probabilities: np.ndarray


@lru_cache
def model(tier: str):
    """Network and tokenizer of a tiny tier."""
    network = tiers.make_network() if tier == "large" else tiers.make_student()
    return network, tiers.make_tokenizer()


@lru_cache
def exit_logits(text: str, tier: str = "large") -> np.ndarray:
    """Raw logits (E, 1, C) by the model's own forward on this text alone."""
    network, tokenizer = model(tier)
    encoded = tokenizer(text, truncation=True, max_length=tiers.MAX_TOKENS, return_tensors="pt")
    with torch.inference_mode():
        return network(**encoded).numpy()


def exit_probabilities(text: str, tier: str = "large") -> np.ndarray:
    """Calibrated probabilities (E, C) of this text."""
    logits, readouts = exit_logits(text, tier), tiers.READOUTS[tier]
    found = [readout.probabilities(logits[: i + 1]) for i, readout in enumerate(readouts)]
    return np.concatenate(found)


def exit_confidences(text: str, measure: Measure) -> np.ndarray:
    """Confidence at every exit of the large tier (E,)."""
    logits, readouts = exit_logits(text), tiers.READOUTS["large"]
    found = [readout.confidence(logits[: i + 1], measure) for i, readout in enumerate(readouts)]
    return np.concatenate(found)


def make_plan(thresholds=None, last_exit="", measure=Measure.MAX_PROB) -> ExitPlan:
    """An exit plan; exits that are not named never answer."""
    return ExitPlan(MappingProxyType(dict(thresholds or {})), last_exit, measure)


def expected(text: str, plan: ExitPlan, exits: tuple[str, ...]) -> Expected:
    """Exit by exit: leave where the plan passes, or at the last exit that it allows."""
    found, confidences = exit_probabilities(text), exit_confidences(text, plan.measure)
    last = plan.last_exit if plan.last_exit in exits else exits[-1]
    for stage, name in enumerate(exits):
        if name == last or plan.passes(name, float(confidences[stage])):
            return Expected(stage, found)
    raise AssertionError("the last exit always answers")


def is_tie(text: str, plan: ExitPlan, exits: tuple[str, ...]) -> bool:
    """Whether some exit's confidence lies so near its threshold that rounding may decide."""
    found = exit_confidences(text, plan.measure)
    limits = [plan.thresholds.get(name, 1.0) for name in exits]
    return bool(np.any(np.abs(found - limits) < TIE))
