"""The compact student of the small tier: token embeddings, two convolutions, attentive pooling.

Distilled from the large tier (after Tang et al. 2019, arXiv 1903.12136), at about a hundredth of
its compute.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from services.models.staged import RowStates, StagedNetwork


@dataclass(frozen=True, slots=True)
class StudentConfig:
    """Sizes of a student; `kernel` is the width of its convolutions in tokens (odd)."""

    vocabulary: int
    labels: int
    embedding: int = 128
    width: int = 192
    kernel: int = 3
    pooling_heads: int = 4
    dropout: float = 0.2
    segments: int = 2


class Student(StagedNetwork):
    """One stage: ids to logits."""

    stages = 1

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.config = config
        width, pad = config.width, config.kernel // 2
        self.tokens = nn.Embedding(config.vocabulary, config.embedding)
        self.segment = nn.Embedding(config.segments, config.embedding)
        nn.init.zeros_(self.segment.weight)
        self.widen = nn.Conv1d(config.embedding, width, config.kernel, padding=pad)
        self.deepen = nn.Conv1d(width, width, config.kernel, padding=pad)
        self.attend = nn.Linear(width, config.pooling_heads)
        self.dense = nn.Linear(width * (config.pooling_heads + 1), width)
        self.out = nn.Linear(width, config.labels)
        self.dropout = nn.Dropout(config.dropout)

    def embed(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None
    ) -> RowStates:
        """Look up a padded batch of (B, T) token ids."""
        hidden = self.tokens(input_ids)
        if token_type_ids is not None:
            hidden = hidden + self.segment(token_type_ids)
        return RowStates(hidden, attention_mask, hidden.new_zeros(len(hidden), 0, 0))

    def run_stage(self, stage: int, rows: RowStates) -> tuple[RowStates, Tensor]:
        """Logits (B, C); the states come back unchanged, since there is nothing to go on to."""
        mask = rows.attention_mask.unsqueeze(-1).to(rows.hidden.dtype)
        # Padding is zeroed before each convolution: what stands beside a row's last token must not
        # depend on how far the batch was padded.
        hidden = (self.dropout(rows.hidden) * mask).transpose(1, 2)
        hidden = functional.gelu(self.widen(hidden)) * mask.transpose(1, 2)
        hidden = hidden + functional.gelu(self.deepen(self.dropout(hidden)))
        hidden = hidden.transpose(1, 2)
        scores = self.attend(hidden).masked_fill(mask == 0, float("-inf"))
        attended = torch.softmax(scores, dim=1).transpose(1, 2) @ hidden
        strongest = hidden.masked_fill(mask == 0, float("-inf")).amax(dim=1)
        pooled = torch.cat([attended.flatten(1), strongest], dim=1)
        logits = self.out(self.dropout(functional.gelu(self.dense(self.dropout(pooled)))))
        return rows, logits
