"""The few shapes that stages are run with, where every new one costs.

OpenVINO compiles a stage anew for every shape of its input, which takes as long as running a few
rows, and keeps some of what it made: batches of any number of rows and tokens cost time for
thousands of batches, and memory for good. So they are filled up to the next of a few sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.backends.rows import mask_of

# Above their finest steps, sizes stand so many to an octave: less than a quarter is filled up, and
# less than an eighth of tokens that are packed end to end (`packing.py`), most of what is computed.
PER_OCTAVE, PACKED_PER_OCTAVE = 4, 8
LEAST_ROWS, LEAST_TOKENS = 1, 4


def next_up(rows: int, tokens: int, max_tokens: int) -> tuple[int, int]:
    """The next size in use, of rows and of tokens; no more tokens than max_tokens, if those do."""
    return (
        _step_up(rows, LEAST_ROWS, PER_OCTAVE),
        min(_step_up(tokens, LEAST_TOKENS, PER_OCTAVE), max(tokens, max_tokens)),
    )


def packed(tokens: int) -> int:
    """The next size in use, of the tokens of all rows end to end."""
    return _step_up(tokens, LEAST_TOKENS, PACKED_PER_OCTAVE)


@lru_cache(4096)  # asked for with every batch
def _step_up(size: int, least: int, per_octave: int) -> int:
    octave = (1 << (size - 1).bit_length()) // 2  # sizes above it, up to its double
    step = max(least, octave // per_octave)
    return -(-size // step) * step


def filled(array: NDArray[Any], shape: Sequence[int]) -> NDArray[Any]:
    """The array with its first dimensions cut to `shape`, or filled up to it with zeros."""
    if array.shape[: len(shape)] == tuple(shape):
        return array
    found = np.zeros((*shape, *array.shape[len(shape) :]), dtype=array.dtype)
    # np.pad would do as well, at some six times the time for a small batch.
    kept = tuple(slice(min(pair)) for pair in zip(shape, array.shape, strict=False))
    found[kept] = array[kept]
    return found


def mask(lengths: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.int64]:
    """Which tokens are a row's own (B, T), for B rows or fewer of such lengths.

    Rows that fill up have one token: what is averaged over a row stays a number.
    """
    rows, tokens = shape
    every = np.ones(rows, dtype=np.int64)
    every[: len(lengths)] = lengths
    return mask_of(every, tokens)
