"""Answer combination: a weighted sum of the raw logits of all exits that a text passed in a tier.

Learned by negative log likelihood, and used only where it clearly beats the exit alone (after the
ensembles of Zero Time Waste, Wołczyk et al. 2021, arXiv 2106.05409).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

from offramp.decision.calibration import fit_temperature
from training.readouts.calibrators import fit_temperature_scaling
from training.readouts.selection import simplest_that_is_not_worse

Array = NDArray[np.float64]
Labels = NDArray[np.integer]

# How strongly the weights are held to those of the exit alone, in nats per squared deviation.
RIDGE = 1.0


def fit_mix(history: NDArray[np.floating], labels: Labels) -> tuple[float, ...]:
    """Weights (D,) of the raw logits (D, N, C), none negative, that sum to 1; own exit last."""
    logits = np.asarray(history, dtype=np.float64)
    target = np.zeros(len(logits))
    target[-1] = 1.0 / fit_temperature(logits[-1], labels)
    rows = np.arange(len(labels))

    def loss(weights: Array) -> tuple[float, Array]:
        logs = log_softmax(np.tensordot(weights, logits, axes=1), axis=1)
        slopes = np.exp(logs)
        slopes[rows, labels] -= 1.0
        away = weights - target
        value = -logs[rows, labels].sum() + RIDGE / 2 * away @ away
        return float(value), np.einsum("nc,dnc->d", slopes, logits) + RIDGE * away

    bounds = [(0.0, None)] * len(logits)
    found = minimize(loss, target, jac=True, method="L-BFGS-B", bounds=bounds).x
    total = found.sum()
    return tuple((found / total if total > 0 else target / target.sum()).tolist())


def pick_mix(history: NDArray[np.floating], labels: Labels, seed: int) -> tuple[float, ...] | None:
    """The mix of a history (D, N, C); None where the exit alone is as good, or is all there is."""
    if len(history) == 1:
        return None

    def alone(train: NDArray[np.intp], test: NDArray[np.intp]) -> Array:
        own = history[-1]
        return fit_temperature_scaling(own[train], labels[train]).probabilities(own[test])

    def mixed(train: NDArray[np.intp], test: NDArray[np.intp]) -> Array:
        weights = fit_mix(history[:, train], labels[train])
        logits = np.tensordot(weights, history, axes=1)
        return fit_temperature_scaling(logits[train], labels[train]).probabilities(logits[test])

    chosen = simplest_that_is_not_worse({"alone": alone, "mixed": mixed}, labels, seed)
    return fit_mix(history, labels) if chosen == "mixed" else None
