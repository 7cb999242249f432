"""Altered texts: to learn the task rather than the texts, and the teacher on more of them.

After Tang et al. 2019 (arXiv 1903.12136): masked and replaced words, and cut-out runs; it
knows no language, so it serves any task.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from training.batches import Batch, Encoded

MASK_SHARE = 0.1
REPLACE_SHARE = 0.1
CUT_SHARE = 0.3


class WordMask:
    """Hides a share of the words of a batch behind the mask token (or the unknown one)."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, share: float, rng: np.random.Generator
    ) -> None:
        mask = tokenizer.mask_token_id
        self._mask = tokenizer.unk_token_id if mask is None else mask
        self._special = torch.tensor(tokenizer.all_special_ids)
        self._share = share
        self._rng = rng

    def hide(self, batch: Batch) -> Batch:
        """The batch with words hidden at random; special tokens and padding stay."""
        draws = torch.from_numpy(self._rng.random(batch.input_ids.shape))
        words = ~torch.isin(batch.input_ids, self._special)
        hidden = batch.input_ids.masked_fill(words & (draws < self._share), self._mask)
        return replace(batch, input_ids=hidden)


def altered(
    encoded: Encoded, copies: int, tokenizer: PreTrainedTokenizerBase, rng: np.random.Generator
) -> Encoded:
    """`copies` altered versions of every text. Special tokens and segments stay where they are."""
    special = set(tokenizer.all_special_ids)
    known = np.asarray([i for row in encoded.ids for i in row if i not in special], dtype=np.int64)
    ids: list[list[int]] = []
    segments: list[list[int]] | None = None if encoded.segments is None else []
    for _ in range(copies):
        for number, row in enumerate(encoded.ids):
            kept, words = _altered_row(row, special, known, tokenizer.mask_token_id, rng)
            ids.append(words)
            if segments is not None and encoded.segments is not None:
                segments.append([encoded.segments[number][i] for i in kept])
    return Encoded(ids, segments, encoded.padding)


def _altered_row(
    row: list[int],
    special: set[int],
    known: np.ndarray,
    mask_id: int | None,
    rng: np.random.Generator,
) -> tuple[list[int], list[int]]:
    """Places kept of a row, and the tokens that stand there now."""
    words = [i for i, token in enumerate(row) if token not in special]
    if len(words) > 3 and rng.random() < CUT_SHARE:
        length = int(rng.integers(2, len(words)))
        start = int(rng.integers(0, len(words) - length + 1))
        words = words[start : start + length]
    chosen = set(words)
    draws = rng.random(len(row))
    kept, tokens = [], []
    for place, token in enumerate(row):
        if token not in special and place not in chosen:
            continue
        kept.append(place)
        if token in special or draws[place] >= MASK_SHARE + REPLACE_SHARE:
            tokens.append(token)
        elif draws[place] < MASK_SHARE and mask_id is not None:
            tokens.append(mask_id)
        else:
            tokens.append(int(known[rng.integers(len(known))]))
    return kept, tokens
