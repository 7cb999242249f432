"""Convolutions over packed tokens as products of matrices.

A convolution of k taps is one product: what k neighbours of a token say, side by side, by the
weights of all taps. OpenVINO multiplies matrices of int8 at several times the rate at which it
convolves them, and reads and writes them as packed tokens are: nothing has to be turned. Neighbours
are looked up, so no padding has to stand between rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from openvino import opset13 as ops

from services.backends import graphs


def of_convolution(node: Any, tokens: Any, neighbours: Any) -> Any:
    """What a convolution along tokens gives, (1, N, O), of packed ones (1, N, I).

    It gives as many as it reads (`graphs.reach`).  neighbours (N, 2R + 1): where those stand that
    are up to R tokens away; N for none.
    """
    given = node.get_attributes()
    (apart,), (reach,) = given["dilations"], given["pads_begin"]
    weights = node.input_value(1)
    _, width, taps = (size.get_length() for size in weights.get_partial_shape())
    if taps > 1:
        middle = neighbours.get_partial_shape()[1].get_length() // 2
        places = ops.gather(neighbours, middle - reach + apart * np.arange(taps), np.int64(1))
        rows = ops.squeeze(_with_zeros_behind(tokens), np.array([0]))
        seen = ops.gather(rows, places, np.int64(0))
        tokens = ops.reshape(seen, np.array([1, -1, taps * width]), special_zero=False)
    # (O, I, K) as (O, K * I).
    matrix = ops.reshape(graphs.turned(weights), np.array([0, -1]), special_zero=True)
    return ops.matmul(tokens, matrix, False, True).output(0)


def _with_zeros_behind(tokens: Any) -> Any:
    """Packed tokens (1, N, I), and one more that says nothing.

    Rounded together: zeros that were not rounded would keep their product from int8.
    """
    node = tokens.get_node()
    rounded = node.get_type_name() == "FakeQuantize"
    source = node.input_value(0) if rounded else tokens
    found = ops.pad(source, np.zeros(3, dtype=np.int64), np.array([0, 1, 0]), "constant")
    if not rounded:
        return found
    return ops.fake_quantize(found, *node.input_values()[1:], node.get_attributes()["levels"])
