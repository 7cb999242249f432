"""What every served network is: stages that take rows from one exit to the next."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(slots=True)
class RowStates:
    """All that is needed to go on with a batch of rows: B rows, T tokens, width H, D layers so far.

    hidden: (B, T, H) states after the last layer run.
    attention_mask: (B, T), 1 for a token and 0 for padding on the right. A stage may drop tokens.
    pooled: (B, D + 1, H) pooled states of the embeddings and of every layer run; (B, 0, 0) in
        networks that have no use for them.
    """

    hidden: Tensor
    attention_mask: Tensor
    pooled: Tensor


class StagedNetwork(nn.Module, ABC):
    """A classifier that runs stage by stage; a row's result never depends on its batch mates."""

    stages: int

    @abstractmethod
    def embed(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None
    ) -> RowStates:
        """Start a batch of (B, T) token ids, padded on the right."""

    @abstractmethod
    def run_stage(self, stage: int, rows: RowStates) -> tuple[RowStates, Tensor]:
        """Run stage `stage` (0-based); return the states to go on from and logits (B, C)."""

    def lengths_after(self, stage: int, lengths: Tensor) -> Tensor:
        """Tokens (B,) that rows go on with behind a stage, from those that they entered it with."""
        return lengths

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Logits at every exit (stages, B, C): the plain reference that an engine must match."""
        rows = self.embed(input_ids, attention_mask, token_type_ids)
        logits = []
        for stage in range(self.stages):
            rows, stage_logits = self.run_stage(stage, rows)
            logits.append(stage_logits)
        return torch.stack(logits)
