"""Which waiting rows run together: batches of similar length, as few as pay, by measured cost.

A batch is padded to its longest row, so a long text makes short ones pay (little, where only a part
of the stage looks at padding), and filled up to a shape that the backend has; a batch of its own
costs the start of another one. What is cheaper depends on the stage and on the hardware: the curves
that the warm-up measured say it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

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


class Parting:
    """Parts what waits for a stage, at the least cost.

    curves: of the stage and of those behind it, which the survivors of a batch run through before
        the next one begins: a batch more is begun in all of them.  shape: what they fill up to.
    """

    def __init__(self, curves: Sequence[StageCurve], shape: Shape = as_it_is) -> None:
        self._curves = tuple(curves)
        self._shape = shape
        # Kept, because they are asked for with every batch: what 1, 2, ... rows are filled up to;
        # and by tokens of the longest row, what a batch costs beside its rows, and what each of
        # them costs that it would not in any other.
        self._filled = np.zeros(0)
        self._costs: dict[int, tuple[float, float]] = {}

    def sizes(self, tokens: Sequence[int], most: int) -> list[int]:
        """Rows of each batch, in order, for waiting rows of so many tokens (N,), shortest first.

        The cheapest way to part them into batches of at most `most` rows, all things tried (dynamic
        programming over where the next batch ends). Of several that cost the same, the one that
        begins with the larger batch.
        """
        count = len(tokens)
        width = min(most, count)
        if width == 1 or (tokens[0] == tokens[-1] and self._shape is as_it_is):
            return _full(count, most)
        # The longest row first, so that what the batches cost that a row begins, from `width` rows
        # to one, lies in one slice; in front, room for batches of more rows than are left.
        start, each = np.zeros((2, width - 1 + count))
        start[width - 1 :], each[width - 1 :] = np.array([self._cost(t) for t in tokens[::-1]]).T
        filled = self._filled_up(width)[::-1]
        # What the last rows cost, parted at best: none of them nothing; fewer than none there are
        # not, so no batch is longer than what is left.
        rest = np.full(width + count, np.inf)
        rest[width - 1] = 0.0
        first = []
        for left in range(1, count + 1):
            taken = slice(left - 1, left - 1 + width)  # `width` rows, ..., one
            found = start[taken] + filled * each[taken] + rest[taken]
            best = int(found.argmin())
            rest[left - 1 + width] = found[best]
            first.append(width - best)
        return _followed(first[::-1])

    def _cost(self, tokens: int) -> tuple[float, float]:
        found = self._costs.get(tokens)
        if found is None:
            _, longest = self._shape(1, tokens)
            start = sum(STEP_SECONDS + curve.start(longest) for curve in self._curves)
            # What a row's own tokens cost is the same in any batch, and so left out.
            each = self._curves[0].padding * self._curves[0].each(longest)
            found = self._costs[tokens] = (start, each)
        return found

    def _filled_up(self, most: int) -> NDArray[np.float64]:
        if len(self._filled) < most:
            self._filled = np.array([float(self._shape(n + 1, 1)[0]) for n in range(most)])
        return self._filled[:most]


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
