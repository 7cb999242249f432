"""Which waiting rows run together: batches of similar length, as few as pay, by measured cost.

A batch is padded to its longest row, so a long text makes short ones pay, and filled up to a shape
that the backend has; a batch of its own costs the start of another one. What is cheaper depends on
the stage and on the hardware: the curves that the warm-up measured say it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from services.engine.stage_clock import StageCurve

# What a batch takes beside its stage, in processor time: scheduling and decisions (some 0.7 ms in
# Python), a message with its answers (as much again), and a backend that last ran another shape
# (0.2 ms in a student, 0.7 in a layer's stage). The curves, measured on the backend alone and with
# one shape again and again, do not hold these.
STEP_SECONDS = 0.0015

# The rows and tokens that a batch of some rows and tokens is filled up to. Each depends on its own.
Shape: TypeAlias = Callable[[int, int], tuple[int, int]]


def as_it_is(rows: int, tokens: int) -> tuple[int, int]:
    """Where nothing is filled up."""
    return rows, tokens


def sizes(
    tokens: Sequence[int],
    most: int,
    curves: Sequence[StageCurve],
    shape: Shape = as_it_is,
) -> list[int]:
    """Rows of each batch, in order, for waiting rows of so many tokens (N,), shortest first.

    curves: of the stage and of those behind it, which the survivors of a batch run through before
        the next one begins: a batch more is begun in all of them.  shape: what they fill up to.

    The cheapest way to part them into batches of at most `most` rows, all things tried (dynamic
    programming over where the next batch ends). Where several cost the same, the fewest batches.
    """
    if tokens[0] == tokens[-1] and shape is as_it_is:
        return _full(len(tokens), most)
    longest = np.array([shape(1, length)[1] for length in tokens])
    start = np.sum([STEP_SECONDS + curve.start(longest) for curve in curves], axis=0)
    each = curves[0].each(longest)
    counts = np.array([shape(count, 1)[0] for count in range(1, most + 1)])
    # What rows i, i + 1, ... cost from here on, and how many of them the first batch takes.
    cost = np.zeros(len(tokens) + 1)
    first = np.zeros(len(tokens), dtype=np.intp)
    for i in range(len(tokens) - 1, -1, -1):
        end = min(i + most, len(tokens))
        found = start[i:end] + counts[: end - i] * each[i:end] + cost[i + 1 : end + 1]
        best = end - i - 1 - int(found[::-1].argmin())
        cost[i], first[i] = found[best], best + 1
    return _followed(first.tolist())


def _full(rows: int, most: int) -> list[int]:
    """Full batches, and what is left."""
    return [most] * (rows // most) + ([rows % most] if rows % most else [])


def _followed(first: Sequence[int]) -> list[int]:
    """The sizes met on the way from row 0, where `first` tells the size of the next batch."""
    found, row = [], 0
    while row < len(first):
        found.append(first[row])
        row += first[row]
    return found
