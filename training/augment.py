"""Altered texts: to learn the task rather than the texts, and the teacher on more of them.

After Tang et al. 2019 (arXiv 1903.12136): masked and replaced words, and cut-out runs; it
knows no language, so it serves any task.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from training.batches import Batch, Encoded

MASK_SHARE = 0.1
REPLACE_SHARE = 0.1
CUT_SHARE = 0.3
LEAST_TO_CUT = 4


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
        device = batch.input_ids.device
        draws = torch.from_numpy(self._rng.random(batch.input_ids.shape)).to(device)
        words = ~torch.isin(batch.input_ids, self._special.to(device))
        hidden = batch.input_ids.masked_fill(words & (draws < self._share), self._mask)
        return replace(batch, input_ids=hidden)


def altered(
    encoded: Encoded,
    rows: NDArray[np.intp],
    tokenizer: PreTrainedTokenizerBase,
    rng: np.random.Generator,
) -> Encoded:
    """An altered copy of each text at `rows`. Special tokens and segments stay where they are."""
    vocabulary = _Vocabulary(encoded, tokenizer)
    ids: list[list[int]] = []
    segments: list[list[int]] | None = None if encoded.segments is None else []
    for number in rows:
        kept, words = _altered_row(encoded.ids[number], vocabulary, rng)
        ids.append(words)
        if segments is not None and encoded.segments is not None:
            segments.append([encoded.segments[number][i] for i in kept])
    return Encoded(ids, segments, encoded.padding)


class _Vocabulary:
    """special: tokens that stay.  mask: what hides a word, if anything.  ends: of a text.

    words: every word of the texts, as often as it stands there.
    """

    def __init__(self, encoded: Encoded, tokenizer: PreTrainedTokenizerBase) -> None:
        self.special = set(tokenizer.all_special_ids)
        self.mask: int | None = tokenizer.mask_token_id
        ends = (tokenizer.cls_token_id, tokenizer.sep_token_id)
        self.ends = {*ends, tokenizer.bos_token_id, tokenizer.eos_token_id} - {None}
        words = (i for row in encoded.ids for i in row if i not in self.special)
        self.words = np.fromiter(words, dtype=np.int64)


def _altered_row(
    row: list[int], vocabulary: _Vocabulary, rng: np.random.Generator
) -> tuple[list[int], list[int]]:
    """Places kept of a row, and the tokens that stand there now."""
    dropped = _cut(row, vocabulary.ends, rng) if rng.random() < CUT_SHARE else set()
    draws = rng.random(len(row))
    kept, tokens = [], []
    for place, token in enumerate(row):
        if place in dropped and token not in vocabulary.special:
            continue
        kept.append(place)
        if token in vocabulary.special or draws[place] >= MASK_SHARE + REPLACE_SHARE:
            tokens.append(token)
        elif draws[place] < MASK_SHARE and vocabulary.mask is not None:
            tokens.append(vocabulary.mask)
        else:
            tokens.append(int(vocabulary.words[rng.integers(len(vocabulary.words))]))
    return kept, tokens


def _cut(row: list[int], ends: set[int], rng: np.random.Generator) -> set[int]:
    """Places outside a run of words; of a pair one text is cut, the other stays whole."""
    texts = [list(run) for inside, run in groupby(range(len(row)), _is_inside(row, ends)) if inside]
    words = texts[int(rng.integers(len(texts)))] if texts else []
    if len(words) < LEAST_TO_CUT:
        return set()
    length = int(rng.integers(2, len(words)))
    start = int(rng.integers(0, len(words) - length + 1))
    return {*words[:start], *words[start + length :]}


def _is_inside(row: list[int], ends: set[int]) -> Callable[[int], bool]:
    return lambda place: row[place] not in ends
