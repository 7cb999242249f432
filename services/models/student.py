"""The compact student of the small tier: token embeddings, a light reading of them, pooling.

Distilled from the large tier (after Tang et al. 2019, arXiv 1903.12136), at a twentieth of its
compute or far less. The kinds differ in how they read: `services/models/student_*.py`.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from services.models.staged import RowStates, StagedNetwork
from services.models.student_pairs import Comparison, segments_of


@dataclass(frozen=True, slots=True)
class StudentConfig:
    """Sizes of a student.

    kind: static, conv or recurrent.  embedding: of a token.  width: of what is read from tokens.
    kernel: width of convolutions in tokens (odd).  dilations: of each convolution, how far apart
        the tokens lie that it looks at.
    bigrams: rows of the table that neighbouring tokens share by hashing, 0 for none (static only).
    pairs: compare the two texts of a pair; `separator` is the token that ends the first of them.
    """

    vocabulary: int
    labels: int
    kind: str = "conv"
    embedding: int = 128
    width: int = 192
    kernel: int = 3
    dilations: tuple[int, ...] = (1, 3, 5)
    bigrams: int = 0
    pooling_heads: int = 4
    dropout: float = 0.2
    segments: int = 2
    pairs: bool = False
    separator: int = 0


class Student(StagedNetwork):
    """One stage: ids to logits."""

    stages = 1

    def __init__(self, config: StudentConfig, features: int) -> None:
        """`features` is the width of the token states that `read` returns."""
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocabulary, config.embedding)
        self.segment = nn.Embedding(config.segments, config.embedding)
        nn.init.zeros_(self.segment.weight)
        self.compare = Comparison(config.embedding) if config.pairs else None
        self.attend = nn.Linear(features, config.pooling_heads)
        self.dense = nn.Linear(features * (config.pooling_heads + 1), config.width)
        self.out = nn.Linear(config.width, config.labels)
        self.dropout = nn.Dropout(config.dropout)

    @abstractmethod
    def read(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Token states (B, T, F) of embeddings (B, T, E); mask (B, T, 1) is 0 for padding.

        What comes back for padding is never looked at.
        """

    def look_up(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Embeddings (B, T, E) of token ids (B, T)."""
        found: Tensor = self.tokens(input_ids)
        return found

    def embed(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None
    ) -> RowStates:
        """Look up a padded batch of (B, T) token ids, and compare the two texts of a pair."""
        hidden = self.look_up(input_ids, attention_mask)
        segments = token_type_ids
        if segments is None and self.compare is not None:
            segments = segments_of(input_ids, self.config.separator)
        if segments is not None:
            hidden = hidden + self.segment(segments)
            if self.compare is not None:
                hidden = self.compare(hidden, attention_mask, segments)
        return RowStates(hidden, attention_mask, hidden.new_zeros(len(hidden), 0, 0))

    def run_stage(self, stage: int, rows: RowStates) -> tuple[RowStates, Tensor]:
        """Logits (B, C); the states come back unchanged, since there is nothing to go on to."""
        mask = rows.attention_mask.unsqueeze(-1).to(rows.hidden.dtype)
        hidden = self.read(self.dropout(rows.hidden), mask)
        scores = self.attend(hidden).masked_fill(mask == 0, float("-inf"))
        attended = torch.softmax(scores, dim=1).transpose(1, 2).to(hidden.dtype) @ hidden
        # Padding repeats the first token, which moves no maximum.  With -inf there, int8 has to be
        # taken after the maximum instead of before, which OpenVINO 2026.4 rounds to whole numbers.
        strongest = torch.where(mask == 0, hidden[:, :1], hidden).amax(dim=1)
        pooled = torch.cat([attended.flatten(1), strongest], dim=1)
        logits = self.out(self.dropout(functional.gelu(self.dense(self.dropout(pooled)))))
        return rows, logits
