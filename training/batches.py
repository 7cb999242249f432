"""Tokenised texts, and padded batches of texts of similar length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from training.data import Text

# Texts are sorted by length within runs of this many batches: little padding, order still random.
SORTED_RUN = 50


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of N texts, and segment ids where the tokenizer gives them."""

    ids: list[list[int]]
    segments: list[list[int]] | None
    padding: int

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens per text (N,)."""
        return np.asarray([len(row) for row in self.ids], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of the data (B,) and their padded tensors (B, T)."""

    rows: np.ndarray
    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor | None

    @property
    def inputs(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """The arguments of a network."""
        return self.input_ids, self.attention_mask, self.token_type_ids

    def of(self, values: Tensor) -> Tensor:
        """This batch's rows of values (N, ...) kept on the CPU, on the device of the batch."""
        return values[torch.from_numpy(self.rows)].to(self.input_ids.device)

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        segments = None if self.token_type_ids is None else self.token_type_ids.to(device)
        ids, mask = self.input_ids.to(device), self.attention_mask.to(device)
        return Batch(self.rows, ids, mask, segments)


def encode(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text], max_tokens: int | None
) -> Encoded:
    """Tokenise texts or pairs, cut to `max_tokens` (None: not cut)."""
    first = [text.text for text in texts]
    second = [text.pair or "" for text in texts] if texts and texts[0].pair is not None else None
    output = tokenizer(first, second, truncation=max_tokens is not None, max_length=max_tokens)
    return Encoded(output["input_ids"], output.get("token_type_ids"), tokenizer.pad_token_id or 0)


def collate(data: Encoded, rows: np.ndarray) -> Batch:
    """Pad the given rows to the longest of them."""
    lengths = [len(data.ids[i]) for i in rows]
    shape = (len(rows), max(lengths))
    ids = np.full(shape, data.padding, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    segments = None if data.segments is None else np.zeros(shape, dtype=np.int64)
    for place, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        ids[place, :length] = data.ids[row]
        mask[place, :length] = 1
        if segments is not None and data.segments is not None:
            segments[place, :length] = data.segments[row]
    token_types = None if segments is None else torch.from_numpy(segments)
    return Batch(rows, torch.from_numpy(ids), torch.from_numpy(mask), token_types)


def in_order(data: Encoded, size: int) -> Iterator[Batch]:
    """All rows once, sorted by length."""
    order = np.argsort(data.lengths, kind="stable")
    for start in range(0, len(order), size):
        yield collate(data, order[start : start + size])


def shuffled(data: Encoded, size: int, rng: np.random.Generator, skip: int = 0) -> Iterator[Batch]:
    """All rows once, in random batches of similar length; the first `skip` batches are left out."""
    order = rng.permutation(len(data))
    run = size * SORTED_RUN
    groups = [
        chunk[start : start + size]
        for first in range(0, len(order), run)
        for chunk in [_by_length(data, order[first : first + run])]
        for start in range(0, len(chunk), size)
    ]
    for index in rng.permutation(len(groups))[skip:]:
        yield collate(data, groups[index])


def _by_length(data: Encoded, rows: np.ndarray) -> np.ndarray:
    return rows[np.argsort([len(data.ids[i]) for i in rows], kind="stable")]
