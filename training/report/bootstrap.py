"""Confidence intervals of means by the bootstrap (Efron 1979), percentile method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
DRAWS = 1000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean, and the bounds that it stays within on 95 of 100 redrawn sets of examples."""

    mean: float
    low: float
    high: float


def bands(values: NDArray[np.bool_] | Array, seed: int = 0) -> tuple[Array, Array]:
    """Bounds (P,), (P,) of the means of `values` (P, N), N examples redrawn with replacement.

    All rows share each draw, so bounds of a difference are those of the row of differences.
    """
    rows = np.asarray(values, dtype=np.float64)
    count = rows.shape[1]
    draws = np.random.default_rng(seed)
    means = np.empty((DRAWS, len(rows)))
    for draw in range(DRAWS):
        times_drawn = np.bincount(draws.integers(count, size=count), minlength=count)
        means[draw] = rows @ times_drawn / count
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high


def intervals(values: NDArray[np.bool_] | Array) -> list[Interval]:
    """The mean of each row of `values` (P, N) and its bounds."""
    low, high = bands(values)
    means = np.mean(values, axis=1)
    return [
        Interval(float(m), float(a), float(b)) for m, a, b in zip(means, low, high, strict=True)
    ]


def interval(values: NDArray[np.bool_] | Array) -> Interval:
    """The mean of N values and its bounds."""
    return intervals(values[None])[0]
