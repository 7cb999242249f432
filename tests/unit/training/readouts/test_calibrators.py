"""Fitted calibrators: what made the labels is found; the simpler one stays unless clearly worse."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from offramp.decision.calibration import log_loss
from offramp.decision.calibrators import Isotonic, Temperature, VectorScaling
from training.readouts.calibrators import (
    fit_isotonic,
    fit_temperature_scaling,
    fit_vector_scaling,
    pick,
)


def drawn(probabilities: np.ndarray, seed: int) -> np.ndarray:
    """A label for each row of probabilities (N, C)."""
    rng = np.random.default_rng(seed)
    return (probabilities.cumsum(axis=1) < rng.random((len(probabilities), 1))).sum(axis=1)


def raw_logits(examples: int, classes: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=2.5, size=(examples, classes))


def bent(logits: np.ndarray) -> np.ndarray:
    """Probabilities that no temperature gives: between two plateaus of certainty."""
    sure = softmax(logits, axis=1)[:, 1]
    right = np.where(sure > 0.5, 0.75, 0.25) + 0.2 * (sure - np.where(sure > 0.5, 0.75, 0.25))
    return np.stack([1 - right, right], axis=1)


def test_vector_scaling_finds_the_scales_and_biases_that_made_the_labels() -> None:
    logits = raw_logits(20_000, 3, seed=1)
    made = VectorScaling((0.4, 1.0, 0.7), (1.0, 0.0, -1.0))
    found = fit_vector_scaling(logits, drawn(made.probabilities(logits), seed=2))
    assert found.scale == pytest.approx(made.scale, abs=0.08)
    assert np.subtract(found.bias, found.bias[1]) == pytest.approx(made.bias, abs=0.12)


def test_isotonic_finds_a_curve_that_no_temperature_has() -> None:
    logits = raw_logits(20_000, 2, seed=3)
    labels = drawn(bent(logits), seed=4)
    found = fit_isotonic(logits, labels).probabilities(logits)
    assert np.abs(found - bent(logits)).mean() < 0.02
    plain = fit_temperature_scaling(logits, labels).probabilities(logits)
    assert np.abs(plain - bent(logits)).mean() > 0.05


@pytest.mark.parametrize("classes", [2, 5])
def test_a_fit_is_no_worse_than_the_temperature_on_what_it_saw(classes: int) -> None:
    logits = raw_logits(300, classes, seed=5)
    labels = drawn(softmax(logits / 1.7, axis=1), seed=6)
    plain = log_loss(fit_temperature_scaling(logits, labels).probabilities(logits), labels).mean()
    vector = log_loss(fit_vector_scaling(logits, labels).probabilities(logits), labels).mean()
    assert vector <= plain + 1e-6


@pytest.mark.parametrize("seed", range(4))
def test_the_temperature_is_kept_where_it_is_the_truth(seed: int) -> None:
    logits = raw_logits(400, 3, seed)
    labels = drawn(softmax(logits / 1.8, axis=1), seed + 100)
    assert isinstance(pick(logits, labels, seed=0), Temperature)


def test_vector_scaling_is_picked_where_a_class_is_off() -> None:
    logits = raw_logits(600, 3, seed=7)
    labels = drawn(softmax(logits + np.asarray([2.0, 0.0, 0.0]), axis=1), seed=8)
    assert isinstance(pick(logits, labels, seed=0), VectorScaling)


def test_isotonic_is_picked_where_certainty_is_bent() -> None:
    logits = raw_logits(4000, 2, seed=9)
    assert isinstance(pick(logits, drawn(bent(logits), seed=10), seed=0), Isotonic)


def test_classes_without_an_example_and_many_classes_are_no_obstacle() -> None:
    logits = raw_logits(300, 150, seed=11)
    labels = drawn(softmax(3 * logits, axis=1), seed=12)
    labels[labels == 7] = 8
    found = pick(logits, labels, seed=0).probabilities(logits)
    assert found.sum(axis=1) == pytest.approx(np.ones(300))
    isotonic = fit_isotonic(logits, labels).probabilities(logits)
    assert np.isfinite(np.log(isotonic)).all()
