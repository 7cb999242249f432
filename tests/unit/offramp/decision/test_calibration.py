"""Temperatures and calibration error: the right answer where it is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.decision.calibration import (
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
)
from offramp.decision.calibrators import Temperature


def sampled(temperature: float, seed: int, examples: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose labels were drawn at `temperature`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=3.0, size=(examples, 3))
    drawn = Temperature(temperature).probabilities(logits)
    labels = np.asarray([rng.choice(3, p=row) for row in drawn])
    return logits, labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found(temperature: float) -> None:
    logits, labels = sampled(temperature, seed=3)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.1)


@given(seed=st.integers(0, 1000), other=st.floats(0.1, 10.0))
def test_no_other_temperature_fits_better(seed: int, other: float) -> None:
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(50, 4)), rng.integers(0, 4, 50)
    best = negative_log_likelihood(logits, labels, fit_temperature(logits, labels))
    assert best <= negative_log_likelihood(logits, labels, other) + 1e-6


def test_no_examples_is_an_error() -> None:
    with pytest.raises(ValueError, match="no examples"):
        fit_temperature(np.zeros((0, 2)), np.zeros(0, dtype=int))


def test_calibration_error_of_known_cases() -> None:
    sure_and_right = expected_calibration_error(np.ones(10), np.ones(10, dtype=bool))
    sure_and_wrong = expected_calibration_error(np.ones(10), np.zeros(10, dtype=bool))
    half = expected_calibration_error(np.full(10, 0.75), np.arange(10) < 5)
    assert (sure_and_right, sure_and_wrong) == (0.0, 1.0)
    assert half == pytest.approx(0.25)
