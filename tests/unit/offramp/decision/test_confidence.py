"""Confidence measures: bounds, extremes, and agreement on two labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.decision.calibrators import Temperature
from offramp.decision.confidence import MEASURES, Measure, confidence


@given(
    seed=st.integers(0, 1000), labels=st.integers(2, 200), measure=st.sampled_from(list(MEASURES))
)
def test_confidence_lies_in_zero_to_one(seed: int, labels: int, measure: Measure) -> None:
    logits = np.random.default_rng(seed).normal(scale=20, size=(10, labels))
    found = confidence(Temperature(1.0).probabilities(logits), measure)
    assert ((found >= 0) & (found <= 1)).all()


@pytest.mark.parametrize("measure", list(MEASURES))
def test_certainty_is_one_and_grows_with_the_top_probability(measure: Measure) -> None:
    rows = np.asarray([[0.5, 0.5], [0.6, 0.4], [0.9, 0.1], [1.0, 0.0]])
    found = confidence(rows, measure)
    assert found[-1] == 1.0
    assert (np.diff(found) > 0).all()


def test_uniform_probabilities_carry_no_certainty() -> None:
    uniform = np.full((1, 4), 0.25)
    assert confidence(uniform, Measure.MARGIN) == pytest.approx(0.0)
    assert confidence(uniform, Measure.ENTROPY) == pytest.approx(0.0)
    assert confidence(uniform, Measure.MAX_PROB) == pytest.approx(0.25)
