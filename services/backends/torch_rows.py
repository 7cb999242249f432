"""Rows and the padded batches they ran in, as PyTorch's tensors: selected, parted and joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.backends.recorded import fitted
from services.models.staged import RowStates


@dataclass(frozen=True, slots=True)
class Batch:
    """B rows that ran together.

    states: behind the B rows there may be others, that nobody reads: padding, too.
    lengths (B,): how many of the T tokens are a row's own, kept on the host.
    """

    states: RowStates
    lengths: NDArray[np.int64]

    def rows(self) -> list[TorchRow]:
        """Every row of it."""
        return [TorchRow(self, index) for index in range(len(self.lengths))]


@dataclass(frozen=True, slots=True)
class TorchRow:
    """One row: its place in the batch that it ran in last."""

    batch: Batch
    index: int


def gather(rows: Sequence[TorchRow]) -> Batch:
    """One batch of the given rows, in their order.

    The same rows in the same order stay where they are; a part of one batch is selected once;
    parts of several batches are padded to the longest row and joined.
    """
    parts = [
        _select(group[0].batch, [row.index for row in group])
        for group in (list(found) for _, found in groupby(rows, key=lambda row: id(row.batch)))
    ]
    if len(parts) == 1:
        return parts[0]
    lengths = np.concatenate([part.lengths for part in parts])
    longest = int(lengths.max())
    own = [fitted(part.states, (len(part.lengths), longest)) for part in parts]
    joined = RowStates(
        torch.cat([states.hidden for states in own]),
        torch.cat([states.attention_mask for states in own]),
        torch.cat([states.pooled for states in own]),
    )
    return Batch(joined, lengths)


def _select(batch: Batch, indices: list[int]) -> Batch:
    """Some rows of a batch, without the padding that only the others needed."""
    if indices == list(range(len(batch.lengths))):
        return batch
    lengths, states = batch.lengths[indices], batch.states
    longest = int(lengths.max())
    selected = RowStates(
        _take(states.hidden[:, :longest], indices),
        _take(states.attention_mask[:, :longest], indices),
        _take(states.pooled, indices),
    )
    return Batch(selected, lengths)


def _take(tensor: Tensor, rows: list[int]) -> Tensor:
    return tensor.index_select(0, torch.tensor(rows, device=tensor.device))
