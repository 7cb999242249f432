"""Rows and the padded batches they ran in: selected, parted and joined, on any kind of array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = TypeVar("Array")


class Arrays(Protocol[Array]):
    """What gathering needs of an array library. Batches run along dimension 0, tokens along 1."""

    def take(self, array: Array, rows: Sequence[int]) -> Array:
        """Some rows of an array."""

    def join(self, arrays: Sequence[Array]) -> Array:
        """The rows of several arrays."""

    def widen(self, array: Array, tokens: int) -> Array:
        """The array with zeros for what is missing to so many tokens."""


@dataclass(frozen=True, slots=True)
class Batch(Generic[Array]):
    """States of B rows that ran together.

    by_token: arrays (B, T, ...), padded on the right.  by_row: arrays (B, ...).  Behind the B rows
        there may be others, that nobody reads: padding, too.
    lengths (B,): how many of the T tokens are a row's own, kept on the host.
    """

    by_token: tuple[Array, ...]
    by_row: tuple[Array, ...]
    lengths: NDArray[np.int64]

    def rows(self) -> list[RowInBatch[Array]]:
        """Every row of it."""
        return [RowInBatch(self, index) for index in range(len(self.lengths))]


@dataclass(frozen=True, slots=True)
class RowInBatch(Generic[Array]):
    """One row: its place in the batch that it ran in last."""

    batch: Batch[Array]
    index: int


def gather(rows: Sequence[RowInBatch[Array]], arrays: Arrays[Array]) -> Batch[Array]:
    """One batch of the given rows, in their order.

    The same rows in the same order stay where they are; a part of one batch is selected once;
    parts of several batches are padded to the longest row and joined.
    """
    parts = [
        _select(group[0].batch, [row.index for row in group], arrays)
        for group in (list(found) for _, found in groupby(rows, key=lambda row: id(row.batch)))
    ]
    if len(parts) == 1:
        return parts[0]
    lengths = np.concatenate([part.lengths for part in parts])
    longest = int(lengths.max())

    def joined(same: Sequence[Any], *, by_token: bool) -> Array:
        """One array of all parts' rows, without those of padding."""
        own = [array[: len(part.lengths)] for array, part in zip(same, parts, strict=True)]
        if by_token:
            own = [arrays.widen(array[:, :longest], longest) for array in own]
        return arrays.join(own)

    return Batch(
        tuple(joined(a, by_token=True) for a in zip(*(p.by_token for p in parts), strict=True)),
        tuple(joined(a, by_token=False) for a in zip(*(p.by_row for p in parts), strict=True)),
        lengths,
    )


def _select(batch: Batch[Array], indices: list[int], arrays: Arrays[Array]) -> Batch[Array]:
    """Some rows of a batch, without the padding that only the others needed."""
    if indices == list(range(len(batch.lengths))):
        return batch
    lengths = batch.lengths[indices]
    longest = int(lengths.max())
    narrow: Any = batch.by_token
    return Batch(
        tuple(arrays.take(array[:, :longest], indices) for array in narrow),
        tuple(arrays.take(array, indices) for array in batch.by_row),
        lengths,
    )


def padded(rows: Sequence[Sequence[int]], value: int) -> NDArray[np.int64]:
    """Rows of ids (B, T), filled on the right up to the longest."""
    found = np.full((len(rows), max(map(len, rows))), value, dtype=np.int64)
    for target, row in zip(found, rows, strict=True):
        target[: len(row)] = row
    return found


def mask_of(lengths: NDArray[np.int64], tokens: int | None = None) -> NDArray[np.int64]:
    """1 for a row's own tokens (B, T), 0 for padding; T: `tokens`, or the longest row's."""
    return (np.arange(tokens or lengths.max()) < lengths[:, None]).astype(np.int64)
