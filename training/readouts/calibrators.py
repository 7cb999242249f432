"""Fitting calibrators, and picking one by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.isotonic import IsotonicRegression

from offramp.decision.calibration import fit_temperature
from offramp.decision.calibrators import Calibrator, Isotonic, Temperature, VectorScaling
from training.readouts.selection import simplest_that_is_not_worse

Array = NDArray[np.float64]
Labels = NDArray[np.integer]

# How strongly vector scaling is held to a bare temperature, in nats per squared deviation.
RIDGE = 1.0
# A curve per class needs so many examples per class to be worth trying.
LEAST_PER_CURVE = 20
# Corners of a curve are kept to this many digits: more would be noise, and fill the manifest.
DIGITS = 6


def fit_temperature_scaling(logits: NDArray[np.floating], labels: Labels) -> Temperature:
    """The temperature of least negative log likelihood (arXiv 1706.04599)."""
    return Temperature(fit_temperature(logits, labels))


def fit_vector_scaling(logits: NDArray[np.floating], labels: Labels) -> VectorScaling:
    """A scale (never negative) and a bias per class, drawn a little to a temperature's."""
    logits = np.asarray(logits, dtype=np.float64)
    classes = logits.shape[1]
    target = np.concatenate(
        [np.full(classes, 1 / fit_temperature(logits, labels)), [0.0] * classes]
    )
    hits = np.eye(classes)[labels]

    def loss(parameters: Array) -> tuple[float, Array]:
        logs = log_softmax(logits * parameters[:classes] + parameters[classes:], axis=1)
        slopes = np.exp(logs) - hits
        away = parameters - target
        gradient = np.concatenate([(slopes * logits).sum(axis=0), slopes.sum(axis=0)])
        value = -(hits * logs).sum() + RIDGE / 2 * away @ away
        return float(value), gradient + RIDGE * away

    bounds = [(0.0, None)] * classes + [(None, None)] * classes
    found = minimize(loss, target, jac=True, method="L-BFGS-B", bounds=bounds).x
    return VectorScaling(tuple(found[:classes].tolist()), tuple(found[classes:].tolist()))


def fit_isotonic(logits: NDArray[np.floating], labels: Labels) -> Isotonic:
    """One rising curve per class, against the rest (Zadrozny & Elkan 2002), after a temperature."""
    temperature = fit_temperature_scaling(logits, labels)
    plain = temperature.probabilities(logits)
    curves = tuple(_curve(column, labels == label) for label, column in enumerate(plain.T))
    return Isotonic(temperature.value, curves)


def _curve(
    probabilities: Array, hits: NDArray[np.bool_]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    found = IsotonicRegression(y_min=0.0, y_max=1.0).fit(probabilities, hits.astype(float))
    corners = (found.X_thresholds_, found.y_thresholds_)
    before, after = (np.round(values, DIGITS).tolist() for values in corners)
    return tuple(before), tuple(after)


# From the simplest to the most flexible.
FITS: Mapping[str, Callable[[NDArray[np.floating], Labels], Calibrator]] = {
    "temperature": fit_temperature_scaling,
    "vector_scaling": fit_vector_scaling,
    "isotonic": fit_isotonic,
}


def pick(logits: NDArray[np.floating], labels: Labels, seed: int) -> Calibrator:
    """The calibrator of logits (N, C): the temperature unless another is clearly better."""

    def predict(name: str) -> Callable[[NDArray[np.intp], NDArray[np.intp]], Array]:
        return lambda train, test: FITS[name](logits[train], labels[train]).probabilities(
            logits[test]
        )

    few = len(labels) < LEAST_PER_CURVE * logits.shape[1]
    candidates = {name: predict(name) for name in FITS if not (few and name == "isotonic")}
    return FITS[simplest_that_is_not_worse(candidates, labels, seed)](logits, labels)
