"""The parts of training: loss, running mean, altered copies, batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.support.tiny import make_tokenizer
from training.augment import altered
from training.batches import Encoded, collate, encode, in_order, shuffled
from training.data import Text
from training.large import blended, exit_loss


def encoded(lengths: list[int]) -> Encoded:
    return Encoded([[2, *range(10, 8 + n), 3] for n in lengths], None, 0)


def test_without_a_teacher_the_loss_is_the_weighted_cross_entropy() -> None:
    logits = torch.randn(3, 5, 4)
    targets = torch.eye(4)[torch.tensor([0, 1, 2, 3, 0])]
    losses = [torch.nn.functional.cross_entropy(exit_logits, targets) for exit_logits in logits]
    expected = (losses[0] / 9 + losses[1] * 4 / 9 + losses[2]) / (14 / 9)
    assert exit_loss(logits, targets, teach=0.0).item() == pytest.approx(expected.item())


def test_the_last_exit_is_not_taught_by_itself_or_by_the_others() -> None:
    logits = torch.randn(2, 3, 2, requires_grad=True)
    targets = torch.eye(2)[torch.tensor([0, 1, 0])]
    exit_loss(logits, targets, teach=1.0).backward()
    alone = torch.nn.functional.cross_entropy(last := logits.detach()[-1].requires_grad_(), targets)
    alone.backward()
    assert logits.grad is not None
    assert last.grad is not None
    assert torch.allclose(logits.grad[-1], last.grad / 1.25)


@given(share=st.floats(0, 1), weight=st.floats(0.1, 5), seed=st.integers(0, 99))
def test_an_answer_blended_in_leaves_a_text_the_weight_it_had(
    share: float, weight: float, seed: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    aims, answers = (torch.rand(3, 4, generator=draw).softmax(-1) for _ in range(2))
    mixed = blended(weight * aims, answers, share)
    assert torch.allclose(mixed.sum(-1), torch.full((3,), weight), rtol=1e-5)
    assert torch.allclose(mixed, weight * ((1 - share) * aims + share * answers), atol=1e-5)


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
    copies = altered(data, 3, tokenizer, np.random.default_rng(0))
    assert len(copies) == 150
    specials = {tokenizer.cls_token_id, tokenizer.sep_token_id}
    expected = [token for token in data.ids[0] if token in specials]
    assert all([t for t in row if t in specials] == expected for row in copies.ids)
    assert any(tokenizer.mask_token_id in row for row in copies.ids)
    assert any(len(row) < len(data.ids[0]) for row in copies.ids)
    assert all(0 <= token < len(tokenizer) for row in copies.ids for token in row)


def test_long_texts_are_cut_to_the_limit() -> None:
    data = encode(make_tokenizer(), [Text("noisy " * 100)], 48)
    assert data.lengths.tolist() == [48]
