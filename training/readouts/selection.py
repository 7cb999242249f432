"""Choosing between ways of reading out an exit, by cross-validated negative log likelihood."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from offramp.decision.calibration import log_loss
from training.parting import folds

Array = NDArray[np.float64]

FOLDS = 5
# What is fitted on the examples at the first positions says of those at the second ones (N, C).
Predict: TypeAlias = Callable[[NDArray[np.intp], NDArray[np.intp]], Array]


def cross_validated_loss(predict: Predict, labels: NDArray[np.integer], seed: int) -> Array:
    """Nats (N,) that each example costs those who were fitted without it."""
    losses = np.empty(len(labels))
    for train, test in folds(labels, FOLDS, seed):
        losses[test] = log_loss(predict(train, test), labels[test])
    return losses


def simplest_that_is_not_worse(
    candidates: Mapping[str, Predict], labels: NDArray[np.integer], seed: int
) -> str:
    """The first candidate, unless others are clearly better; then the best of those.

    Clearly: by more than one standard error of the paired difference over the examples. Candidates
    stand from the simplest on.
    """
    losses = {n: cross_validated_loss(p, labels, seed) for n, p in candidates.items()}
    simplest = next(iter(losses))
    clearly = {
        name: loss.mean()
        for name, loss in losses.items()
        if is_clearly_better(loss, losses[simplest])
    }
    return min(clearly, key=clearly.__getitem__, default=simplest)


def is_clearly_better(losses: Array, others: Array) -> bool:
    """Whether losses (N,) are lower than others (N,) by more than one standard error."""
    gained = others - losses
    error = gained.std(ddof=1) / np.sqrt(len(gained))
    return bool(gained.mean() > error)
