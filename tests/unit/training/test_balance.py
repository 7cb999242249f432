"""Weights of labels: rare ones count more, and the mean over the examples stays one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.balance import class_weights
from training.data import LabelledTexts, Text


def targets(counts: list[int]) -> np.ndarray:
    return np.eye(len(counts), dtype=np.float32)[np.repeat(np.arange(len(counts)), counts)]


@given(
    counts=st.lists(st.integers(1, 50), min_size=2, max_size=9),
    balance=st.sampled_from(["sqrt", "weights"]),
)
def test_the_mean_weight_of_the_examples_is_one(counts: list[int], balance: str) -> None:
    found = targets(counts)
    weights = class_weights(found, balance)
    assert (found @ weights).mean() == pytest.approx(1.0, rel=1e-5)


def test_weights_are_by_inverse_frequency_and_its_root() -> None:
    found = targets([90, 10])
    whole, root = class_weights(found, "weights"), class_weights(found, "sqrt")
    assert whole is not None
    assert root is not None
    assert whole[1] / whole[0] == pytest.approx(9.0)
    assert root[1] / root[0] == pytest.approx(3.0)
    assert class_weights(found, "none") is None


def test_an_unknown_balance_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="none, sqrt, weights"):
        class_weights(targets([1, 1]), "half")


def test_a_loss_of_aims_is_the_weighted_cross_entropy() -> None:
    found = targets([3, 1])
    weights = class_weights(found, "weights")
    texts = tuple(Text(f"text {i}") for i in range(4))
    aims = torch.from_numpy(LabelledTexts(texts, found, ("a", "b"), weights).aims)
    logits = torch.randn(4, 2)
    mine = -(aims * logits.log_softmax(dim=-1)).sum(dim=-1).sum()
    labels = torch.from_numpy(found.argmax(axis=1))
    theirs = torch.nn.functional.cross_entropy(
        logits, labels, torch.from_numpy(weights), reduction="sum"
    )
    assert mine.item() == pytest.approx(theirs.item(), rel=1e-5)


def test_a_part_of_the_data_keeps_the_weights() -> None:
    texts = tuple(Text(f"text {i}") for i in range(4))
    weights = class_weights(targets([3, 1]), "weights")
    part = LabelledTexts(texts, targets([3, 1]), ("a", "b"), weights).subset([0, 3])
    assert part.aims == pytest.approx(np.diag(weights))
