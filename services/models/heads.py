"""Pooling over tokens, and the classifier that stands at an exit."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def pool(hidden: Tensor, attention_mask: Tensor, how: str) -> Tensor:
    """Reduce (B, T, H) token states to (B, H); padding never counts."""
    if how == "cls":
        return hidden[:, 0]
    mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


class AttentionPool(nn.Module):
    """Reduces token states to one, each part of the state by its own learned attention.

    Begins as the mean over tokens; what deserves more weight than the rest is learned.
    """

    def __init__(self, width: int, parts: int) -> None:
        super().__init__()
        self.scores = nn.Linear(width, parts)
        nn.init.zeros_(self.scores.weight)
        nn.init.zeros_(self.scores.bias)

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, T, H) token states to (B, H); padding never counts."""
        scores = self.scores(hidden).masked_fill(attention_mask.unsqueeze(-1) == 0, float("-inf"))
        shares = torch.softmax(scores, dim=1).to(hidden.dtype)
        parts = hidden.unflatten(-1, (shares.shape[-1], -1))
        pooled: Tensor = (parts * shares.unsqueeze(-1)).sum(dim=1)
        return pooled.flatten(1)


class ExitHead(nn.Module):
    """A learned softmax mix of the pooled states so far, and a classifier with one hidden layer."""

    def __init__(self, sources: int, width: int, labels: int, dropout: float) -> None:
        super().__init__()
        self.mix = nn.Parameter(torch.zeros(sources))
        with torch.no_grad():
            self.mix[-1] = 2.0  # start near the exit's own layer; training moves it
        self.dense = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, labels)

    def forward(self, pooled: Tensor) -> Tensor:
        """(B, sources, H) pooled states to (B, C) logits."""
        weights = torch.softmax(self.mix, dim=0)
        mixed = (pooled * weights.to(pooled.dtype).unsqueeze(-1)).sum(dim=1)
        hidden = torch.nn.functional.gelu(self.dense(self.dropout(mixed)))
        logits: Tensor = self.out(self.dropout(hidden))
        return logits
