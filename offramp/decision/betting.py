"""Betting: p-values for bounded losses after Waudby-Smith and Ramdas (arXiv 2010.09686).

Bet on every example that its loss is below the limit, with a stake that only the examples before it
decide. Were the expected loss at the limit or above, the capital could not be expected to grow, and
the chance that it ever reaches 1 / delta times its start would be at most delta (Ville).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Stakes are sized for this delta whatever the one that is asked for, so that the capital is one
# number: a p-value, which a stricter delta never lets pass more.
DESIGN_DELTA = 0.05
# The share of the capital that a single loss of 1 may take at most.
MOST_AT_STAKE = 0.9


def p_values(losses: NDArray[np.bool_] | Array, limit: float) -> Array:
    """p-value (P,) of "the expected loss is above `limit`" for each row of losses (P, N) in -1..1.

    Non-increasing in `limit`. Examples are taken in an order drawn with a fixed seed, so that a
    sorted file does no harm.
    """
    examples = losses.shape[1]
    if not examples:
        return np.ones(len(losses))
    order = np.random.default_rng(0).permutation(examples)
    shuffled = np.asarray(losses[:, order], dtype=np.float64)
    at_stake = np.minimum(stakes(shuffled), MOST_AT_STAKE / (1 - limit))
    capital = np.cumsum(np.log1p(-at_stake * (shuffled - limit)), axis=1)
    values = np.exp(-np.maximum(capital.max(axis=1), 0.0))
    # Bets may win early and lose late: a mean loss above the limit is no evidence for it.
    fair: Array = np.where(losses.mean(axis=1) > limit, 1.0, values)
    return fair


def stakes(losses: Array) -> Array:
    """Predictable plug-in stakes (P, N): large where the losses before vary little.

    The paper's, for losses in 0..1, on the scale of -1..1: mean and variance begin at 0 and 1.
    """
    examples = losses.shape[1]
    count = np.arange(2, examples + 2)
    deviations = losses - np.cumsum(losses, axis=1) / count
    variances = (1 + np.cumsum(deviations**2, axis=1)) / count
    known = np.concatenate([np.ones((len(losses), 1)), variances[:, :-1]], axis=1)
    sized: Array = np.sqrt(2 * np.log(1 / DESIGN_DELTA) / (examples * known))
    return sized
