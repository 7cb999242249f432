"""Mixes of exits are kept where the cascade is expected to cost less with them, and only there."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from offramp.bundle import ExitSpec, TierSpec
from offramp.decision.cost import CostCurve
from training import calibrate
from training.data import LabelledTexts, Text

TEXTS = 600
NAMES = ("large@1", "large@2")


@pytest.fixture
def calibrated(monkeypatch):
    """Calibrate a tier of two exits of the same worth that err apart from each other."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, TEXTS)
    margins = (2.0 * labels - 1) + rng.normal(0, 1.0, (2, TEXTS))
    logits = np.stack([-margins, margins], axis=-1).astype(np.float32)
    exits = tuple(ExitSpec(n, CostCurve(0.0, float(i + 1))) for i, n in enumerate(NAMES))
    tier = SimpleNamespace(spec=TierSpec("large", "multi_exit", exits, 64, readouts={}))
    texts = tuple(Text(f"text number {i}") for i in range(TEXTS))
    held_out = LabelledTexts(texts, np.eye(2, dtype=np.float32)[labels], ("no", "yes"))
    tokens = np.full(TEXTS, 8)
    monkeypatch.setattr(calibrate, "cascade_logits", lambda *given: (logits, tokens))

    def run():
        (spec,) = calibrate.calibrate([tier], held_out, ["fp32"], 0.4, 0).specs
        return [readout.mix is not None for readout in spec.readouts_in("fp32")]

    return run


def test_a_mix_with_which_the_cascade_costs_less_is_kept(calibrated):
    assert calibrated() == [False, True]


def test_a_mix_with_which_the_cascade_costs_more_is_dropped(calibrated, monkeypatch):
    cost = calibrate._cost
    monkeypatch.setattr(calibrate, "_cost", lambda evidence: -cost(evidence))
    assert calibrated() == [False, False]
