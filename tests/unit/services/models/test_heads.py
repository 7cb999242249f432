"""Pooling over tokens: a mean at first, then by learned attention; padding never counts."""

from __future__ import annotations

import torch

from services.models.heads import AttentionPool, pool

MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])


def test_learned_pooling_begins_as_the_mean() -> None:
    hidden = torch.randn(2, 4, 6)
    assert torch.allclose(AttentionPool(6, 3)(hidden, MASK), pool(hidden, MASK, "mean"), atol=1e-6)


def test_each_part_of_the_state_comes_from_the_token_it_attends_to() -> None:
    pooling = AttentionPool(4, 2)
    with torch.no_grad():
        # The first half looks for a large first number, the second half for a large last one.
        pooling.scores.weight.copy_(torch.tensor([[100.0, 0, 0, 0], [0, 0, 0, 100.0]]))
    hidden = torch.tensor([[[1.0, 2, 3, 4], [9, 8, 7, 0], [0, 5, 6, 9], [9, 9, 9, 9]]])
    found = pooling(hidden, torch.tensor([[1, 1, 1, 0]]))
    assert torch.allclose(found, torch.tensor([[9.0, 8, 6, 9]]))
