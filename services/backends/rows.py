"""Rows of several lengths side by side: padded on the right, and masked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def padded(rows: Sequence[Sequence[int]], value: int) -> NDArray[np.int64]:
    """Rows of ids (B, T), filled on the right up to the longest."""
    found = np.full((len(rows), max(map(len, rows))), value, dtype=np.int64)
    for target, row in zip(found, rows, strict=True):
        target[: len(row)] = row
    return found


def mask_of(lengths: NDArray[np.int64], tokens: int | None = None) -> NDArray[np.int64]:
    """1 for a row's own tokens (B, T), 0 for padding; T: `tokens`, or the longest row's."""
    return (np.arange(tokens or lengths.max()) < lengths[:, None]).astype(np.int64)
