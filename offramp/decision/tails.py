"""Tails: how likely a mean loss as low as the one seen is, were the expected loss at a limit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, rel_entr

Array = NDArray[np.float64]

# A sum of many fractions is a little off; a whole number must not be taken for the next one.
DIGITS = 9


def p_values(losses: NDArray[np.bool_] | Array, limit: float) -> Array:
    """p-value (P,) of "the expected loss is above `limit`" for each row of losses (P, N).

    Losses that are bool by type: the binomial tail, which is exact. Floats in 0..1: the
    Hoeffding-Bentkus bound, which is never below it.
    """
    totals, examples = losses.sum(axis=1, dtype=np.float64), losses.shape[1]
    if losses.dtype == np.bool_:
        exact: Array = bdtr(totals, examples, limit)
        return exact
    return hoeffding_bentkus(totals, examples, limit)


def hoeffding_bentkus(totals: Array, examples: int, limit: float) -> Array:
    """p-values of summed losses, each in 0..1: the lesser of two tail bounds.

    Hoeffding's by relative entropy, and Bentkus' by the binomial tail (Bates et al., arXiv
    2101.02703), as Learn then Test uses them (2110.01052).
    """
    means = np.minimum(totals / max(examples, 1), limit)
    entropy = rel_entr(means, limit) + rel_entr(1 - means, 1 - limit)
    hoeffding = np.exp(-examples * entropy)
    bentkus = np.e * bdtr(np.ceil(np.round(totals, DIGITS)), examples, limit)
    bound: Array = np.minimum(np.minimum(hoeffding, bentkus), 1.0)
    return bound
