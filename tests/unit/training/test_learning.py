"""The parts of training: altered copies, batches, tokenised texts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.tiny import make_tokenizer
from training.augment import altered
from training.batches import Encoded, collate, encode, in_order, shuffled
from training.data import Text


def encoded(lengths: list[int]) -> Encoded:
    return Encoded([[2, *range(10, 8 + n), 3] for n in lengths], None, 0)


@given(
    lengths=st.lists(st.integers(3, 20), min_size=1, max_size=40),
    size=st.integers(1, 9),
    seed=st.integers(0, 9),
)
def test_every_row_comes_once_whatever_the_batches(
    lengths: list[int], size: int, seed: int
) -> None:
    data = encoded(lengths)
    for batches in (in_order(data, size), shuffled(data, size, np.random.default_rng(seed))):
        rows = [int(row) for batch in batches for row in batch.rows]
        assert sorted(rows) == list(range(len(lengths)))


def test_padding_is_masked_and_on_the_right() -> None:
    batch = collate(encoded([3, 6]), np.asarray([1, 0]))
    assert batch.attention_mask.tolist() == [[1] * 6, [1] * 3 + [0] * 3]
    assert batch.input_ids[1, 3:].tolist() == [0, 0, 0]


@pytest.mark.parametrize("pair", [None, "the cast is warm"])
def test_altered_copies_keep_special_tokens_and_stay_in_the_vocabulary(pair: str | None) -> None:
    tokenizer = make_tokenizer()
    data = encode(tokenizer, [Text("the plot is dreadful and very noisy", pair)] * 50, 48)
    copies = altered(data, np.repeat(np.arange(50), 3), tokenizer, np.random.default_rng(0))
    assert len(copies) == 150
    specials = {tokenizer.cls_token_id, tokenizer.sep_token_id}
    expected = [token for token in data.ids[0] if token in specials]
    assert all([t for t in row if t in specials] == expected for row in copies.ids)
    assert any(tokenizer.mask_token_id in row for row in copies.ids)
    assert any(len(row) < len(data.ids[0]) for row in copies.ids)
    assert all(0 <= token < len(tokenizer) for row in copies.ids for token in row)


def test_altered_copies_are_of_the_rows_asked_for() -> None:
    tokenizer = make_tokenizer()
    data = encode(tokenizer, [Text("noisy " * 30), Text("plot " * 30)], 48)
    copies = altered(data, np.asarray([1, 1, 0]), tokenizer, np.random.default_rng(0))
    common = [max(set(row), key=row.count) for row in copies.ids]
    noisy, plot = data.ids[0][1], data.ids[1][1]
    assert common == [plot, plot, noisy]


def test_an_altered_pair_is_cut_in_one_of_its_texts_only() -> None:
    tokenizer = make_tokenizer()
    data = encode(tokenizer, [Text("the plot is dreadful", "the cast is warm and noisy")], 48)
    copies = altered(data, np.zeros(200, dtype=np.intp), tokenizer, np.random.default_rng(0))
    whole = _lengths(data.ids[0], tokenizer.sep_token_id)
    found = {_lengths(row, tokenizer.sep_token_id) for row in copies.ids}
    cut = {(first < whole[0], second < whole[1]) for first, second in found}
    assert cut == {(False, False), (True, False), (False, True)}


def _lengths(row: list[int], separator: int) -> tuple[int, int]:
    """Words in each text of a pair."""
    first = row.index(separator)
    return first - 1, len(row) - first - 2


def test_long_texts_are_cut_to_the_limit() -> None:
    data = encode(make_tokenizer(), [Text("noisy " * 100)], 48)
    assert data.lengths.tolist() == [48]
