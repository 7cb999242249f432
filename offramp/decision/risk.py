"""Risk: which points of a nested family keep an expected loss under a limit, and how surely.

Points are tested one after the other from the dearest on, and the first that fails ends the test
(fixed-sequence testing): with probability 1 - delta no certified point is above the limit, however
many there are (Learn then Test, arXiv 2110.01052). Examples must be drawn alike and independently,
and must not have chosen the points. Conformal risk control makes another promise; see `Method`.
"""

from __future__ import annotations

from bisect import bisect_left
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from offramp.decision import betting, tails

Array = NDArray[np.float64]
Losses = NDArray[np.bool_] | NDArray[np.float64]

# Beyond this many examples, "so many would do" is of no use to anyone.
MOST_EXAMPLES = 1_000_000
PRECISION = 1e-6


class Method(StrEnum):
    """How points are certified, as the config spells it.

    LTT: a p-value of the mean loss: exact for losses that are bool, Hoeffding-Bentkus for floats.
    WSR: a p-value of bets on every single loss, which may lie in -1..1. Gains count against losses,
        and losses that vary little need fewer examples.
    CRC: conformal risk control (arXiv 2208.02814): in expectation over all draws of the certifying
        examples; it promises nothing with confidence 1 - delta. Losses must not fall along the
        family, so each example counts with its greatest loss so far.
    """

    LTT = "ltt"
    WSR = "wsr"
    CRC = "crc"


class TooThinError(ValueError):
    """Not even the dearest point can be certified.

    examples: how many there are.  observed: the mean loss at the dearest point.
    needed: how many would do, were they like these; None where no number up to MOST_EXAMPLES would:
        the loss seen is at the limit or above, or too near to it.
    """

    def __init__(self, examples: int, observed: float, needed: int | None) -> None:
        remedy = "no number would do" if needed is None else f"about {needed:,} would do"
        super().__init__(f"{examples:,} certifying examples, mean loss {observed:.4g}: {remedy}")
        self.examples = examples
        self.observed = observed
        self.needed = needed


def certify(losses: Losses, limit: float, delta: float, method: Method) -> int:
    """Index of the cheapest point whose expected loss is certified to be at most `limit`.

    losses: (P, N), of P points, the dearest first, on N examples; in 0..1, for WSR in -1..1.
    delta: the chance of a wrong certificate; CRC does not read it.
    Raises TooThinError where there is no such point, ValueError for what is out of range.
    """
    _check(losses, limit, delta, method)
    failed = np.flatnonzero(~passes(losses, limit, delta, method))
    if not len(failed):
        return len(losses) - 1
    if failed[0] == 0:
        observed = float(losses[0].mean()) if losses.shape[1] else 0.0
        needed = examples_needed(losses[0], limit, delta, method)
        raise TooThinError(losses.shape[1], observed, needed)
    return int(failed[0]) - 1


def passes(losses: Losses, limit: float, delta: float, method: Method) -> NDArray[np.bool_]:
    """Whether each point (P,) passes the test by itself; losses (P, N) as for `certify`."""
    if method is Method.CRC:
        return expected_bound(np.maximum.accumulate(losses, axis=0)) <= limit
    return p_values(losses, limit, method) <= delta


def p_values(losses: Losses, limit: float, method: Method) -> Array:
    """p-value (P,) of "the expected loss is above `limit`" by LTT or WSR, for losses (P, N)."""
    if method is Method.WSR:
        return betting.p_values(losses, limit)
    return tails.p_values(losses, limit)


def expected_bound(losses: Losses) -> Array:
    """Conformal risk control's bound (P,) of the expected loss: (total + 1) / (N + 1)."""
    bound: Array = (losses.sum(axis=1) + 1.0) / (losses.shape[1] + 1)
    return bound


def upper_bound(losses: Losses, delta: float, method: Method) -> float:
    """The least limit that a point would pass by itself with its losses (N,).

    For CRC it holds in expectation; else with confidence 1 - delta, for a point that was named
    before its losses were seen. Of a point that `certify` found, only the limit is certified.
    """
    if method is Method.CRC:
        return float(expected_bound(losses[None])[0])
    low, high = float(losses.mean()), 1.0
    while high - low > PRECISION:
        middle = (low + high) / 2
        if p_values(losses[None], middle, method)[0] <= delta:
            high = middle
        else:
            low = middle
    return high


def examples_needed(losses: Losses, limit: float, delta: float, method: Method) -> int | None:
    """How many examples with losses like these (N,) would pass; None as in TooThinError.

    The losses are repeated until they do; without any, zero loss is assumed.
    """
    seen: Losses = losses if len(losses) else np.zeros(1, dtype=np.bool_)
    if seen.mean() >= limit:
        return None

    def enough(examples: int) -> bool:
        repeated = seen[np.arange(examples) % len(seen)]
        return bool(passes(repeated[None], limit, delta, method)[0])

    high = 1
    while not enough(high):
        high *= 2
        if high > MOST_EXAMPLES:
            return None
    return bisect_left(range(high), True, lo=high // 2, key=enough)


def _check(losses: Losses, limit: float, delta: float, method: Method) -> None:
    if losses.ndim != 2 or not len(losses):
        raise ValueError(f"losses have shape {losses.shape}, expected (points, examples)")
    if not (0 < limit < 1 and 0 < delta < 1):
        raise ValueError(f"limit {limit} and delta {delta} must lie between 0 and 1")
    least = -1 if method is Method.WSR else 0
    if losses.size and not (least <= losses.min() and losses.max() <= 1):
        raise ValueError(f"losses must lie in {least}..1 for {method}")
