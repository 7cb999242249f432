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
        mixed = torch.einsum("s,bsh->bh", weights.to(pooled.dtype), pooled)
        hidden = torch.nn.functional.gelu(self.dense(self.dropout(mixed)))
        logits: Tensor = self.out(self.dropout(hidden))
        return logits
