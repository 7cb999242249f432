"""Fitting the learned confidence: will going on change this answer for the better?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from offramp.decision.learned import LearnedScore, features

Array = NDArray[np.float64]

# How strongly the weights (of features of unit spread) are held to 0, in nats per squared weight.
RIDGE = 1.0


def fit_score(
    probabilities: Array, history: NDArray[np.floating], stay: NDArray[np.bool_]
) -> LearnedScore:
    """The score of an exit from its own probabilities (N, C) and its history (D, N, C).

    stay: (N,) whether going on would not have changed the answer for the better.
    A logistic regression without negative weights: more certainty or agreement never speaks for
    going on, which few texts to gain from would now and then teach it otherwise. Its targets are
    drawn in from 0 and 1 as Platt's (1999) are, so that a part without a single text to gain from
    does not make it certain.
    """
    found = features(probabilities, history)
    centre, spread = found.mean(axis=0), found.std(axis=0)
    # What never varies says nothing.
    scale = np.where(spread > 1e-9, 1.0 / np.maximum(spread, 1e-9), 0.0)
    standard = (found - centre) * scale
    wants = np.where(stay, _drawn_in(stay.sum()), 1.0 - _drawn_in((~stay).sum()))

    def loss(parameters: Array) -> tuple[float, Array]:
        weights, bias = parameters[:-1], parameters[-1]
        margins = standard @ weights + bias
        nats = -(wants * log_expit(margins) + (1 - wants) * log_expit(-margins)).sum()
        slopes = expit(margins) - wants
        gradient = np.append(standard.T @ slopes + RIDGE * weights, slopes.sum())
        return float(nats + RIDGE / 2 * weights @ weights), gradient

    start = np.zeros(standard.shape[1] + 1)
    bounds = [(0.0, None)] * standard.shape[1] + [(None, None)]
    solved = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    weights = solved[:-1] * scale
    return LearnedScore(tuple(weights.tolist()), float(solved[-1] - weights @ centre))


def _drawn_in(count: int) -> float:
    return float((count + 1) / (count + 2))
