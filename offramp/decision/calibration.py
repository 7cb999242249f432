"""Calibration: does confidence mean accuracy? The temperature that helps, and what is left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

Array = NDArray[np.float64]
LOG_TEMPERATURE_BOUNDS = (-3.0, 3.0)
LEAST_PROBABILITY = 1e-300


def negative_log_likelihood(
    logits: NDArray[np.floating], labels: NDArray[np.integer], temperature: float
) -> float:
    """Mean nats per example of logits (N, C) against labels (N,)."""
    logs = log_softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=-1)
    return float(-logs[np.arange(len(labels)), labels].mean())


def log_loss(probabilities: Array, labels: NDArray[np.integer]) -> Array:
    """Nats per example (N,) that probabilities (N, C) lose on labels (N,)."""
    given = probabilities[np.arange(len(labels)), labels]
    nats: Array = -np.log(np.maximum(given, LEAST_PROBABILITY))
    return nats


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The temperature that minimises the negative log likelihood of logits (N, C).

    After Guo et al. (arXiv 1706.04599).
    Raises ValueError for an empty set.
    """
    if len(labels) == 0:
        raise ValueError("no examples to fit a temperature on")
    found = minimize_scalar(
        lambda log_t: negative_log_likelihood(logits, labels, float(np.exp(log_t))),
        bounds=LOG_TEMPERATURE_BOUNDS,
        method="bounded",
    )
    return float(np.exp(found.x))


def expected_calibration_error(
    confidences: Array, correct: NDArray[np.bool_], bins: int = 15
) -> float:
    """ECE: |accuracy - confidence| averaged over equal-width bins, weighted by their share (N,)."""
    edges = np.clip((np.asarray(confidences) * bins).astype(int), 0, bins - 1)
    counts = np.bincount(edges, minlength=bins)
    gaps = np.abs(
        np.bincount(edges, weights=correct, minlength=bins)
        - np.bincount(edges, weights=confidences, minlength=bins)
    )
    return float(gaps.sum() / max(counts.sum(), 1))
