"""When texts are sent in an open loop: seconds from the start, ascending, whoever answers when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.errors import OfframpError

Times = NDArray[np.float64]

# Of bursts: how long from one to the next, how much of that it lasts, how much arrives in it.
PERIOD_SECONDS = 2.0
BURST_TIME, BURST_SHARE = 0.2, 0.6


class TraceError(OfframpError):
    """A recorded trace that cannot be used."""


def poisson(rate: float, seconds: float, rng: np.random.Generator) -> Times:
    """Independent arrivals, `rate` a second on average."""
    count = rng.poisson(rate * seconds)
    return np.sort(rng.uniform(0.0, seconds, count))


def bursts(rate: float, seconds: float, rng: np.random.Generator) -> Times:
    """Poisson arrivals of the same mean rate, BURST_SHARE of them in BURST_TIME of every period."""
    even = poisson(rate, seconds, rng)
    place = np.interp(
        even % PERIOD_SECONDS / PERIOD_SECONDS, [0, BURST_SHARE, 1], [0, BURST_TIME, 1]
    )
    return (even // PERIOD_SECONDS + place) * PERIOD_SECONDS


SHAPES: Mapping[str, Callable[[float, float, np.random.Generator], Times]] = {
    "poisson": poisson,
    "bursts": bursts,
}


def recorded(path: Path, rate: float | None, seconds: float) -> Times:
    """Arrivals of a file, a time in seconds a line, from the first on; repeated where it is short.

    rate: stretch or squeeze them to so many a second on average; None leaves them as they were.
    Raises TraceError.
    """
    try:
        found = np.sort(np.array(path.read_text(encoding="utf-8").split(), dtype=np.float64))
    except (OSError, ValueError) as error:
        raise TraceError(
            f"{path}: one number a line is wanted, a time in seconds ({error})"
        ) from None
    if len(found) < 2 or not np.isfinite(found).all() or found[-1] == found[0]:
        raise TraceError(f"{path}: at least two different times are wanted")
    found = found - found[0]
    # The gap from the last arrival to the first of the next round is an average one.
    length = found[-1] * len(found) / (len(found) - 1)
    if rate is not None:
        scale = len(found) / (rate * length)
        found, length = found * scale, length * scale
    rounds = np.arange(int(np.ceil(seconds / length)))
    times: Times = (rounds[:, None] * length + found).ravel()
    kept: Times = times[times < seconds]
    return kept
