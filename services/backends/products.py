"""Convolutions over packed tokens as products of matrices.

A convolution of k taps is one product of what a token's k neighbours say, side by side, with the
weights of all taps. OpenVINO multiplies matrices of int8 at several times the rate at which it
convolves them, and tokens (1, N, F) are as both read and written: nothing has to be turned.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from openvino import opset13 as ops

from services.backends import graphs

_TO_THE_END = np.iinfo(np.int64).max


def of_convolution(node: Any, tokens: Any) -> Any:
    """What a convolution along tokens gives, (1, N, O), of packed ones (1, N, I).

    It gives as many as it reads (`graphs.reach`). What lies beyond either end is taken from the
    other: there is padding as well.
    """
    given = node.get_attributes()
    (apart,), (reach,) = given["dilations"], given["pads_begin"]
    weights = node.input(1).get_source_output()
    taps = weights.get_partial_shape()[2].get_length()
    if taps > 1:
        around = ops.concat([_cut(tokens, -reach, 0), tokens, _cut(tokens, 0, reach)], 1)
        seen = [_cut(around, tap * apart, (tap + 1 - taps) * apart) for tap in range(taps)]
        tokens = ops.concat(seen, 2)
    return ops.matmul(tokens, _as_matrix(weights), False, True).output(0)


def _cut(tokens: Any, begin: int, end: int) -> Any:
    """Tokens from one to before another, both counted as in Python; 0 ends behind the last."""
    limits = [np.array([begin]), np.array([end or _TO_THE_END])]
    return ops.slice(tokens, *limits, np.array([1]), np.array([1]))


def _as_matrix(weights: Any) -> Any:
    """Weights (O, I, K) of a convolution as (O, K * I)."""
    return ops.reshape(graphs.turned(weights), np.array([0, -1]), special_zero=True)
