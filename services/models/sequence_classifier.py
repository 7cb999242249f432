"""Any Hugging Face sequence classifier as a tier with one exit (TangoBERT's small model)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from services.models.staged import RowStates, StagedNetwork


class SequenceClassifier(StagedNetwork):
    """Wraps a model that maps ids to `.logits`; its one stage is the whole model.

    order: which of the model's outputs stands for each label.
    """

    stages = 1

    def __init__(self, model: PreTrainedModel, order: Sequence[int]) -> None:
        super().__init__()
        self.model = model
        self.order = tuple(order)

    def embed(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None
    ) -> RowStates:
        """Keep the ids as they are: hidden is (B, T, 2), token and segment ids."""
        segments = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        ids = torch.stack([input_ids, segments], dim=-1)
        return RowStates(ids, attention_mask, torch.zeros(len(ids), 0, 0))

    def run_stage(self, stage: int, rows: RowStates) -> tuple[RowStates, Tensor]:
        """Logits (B, C) of the whole model."""
        kwargs = {}
        if getattr(self.model.config, "type_vocab_size", 0) > 1:
            kwargs["token_type_ids"] = rows.hidden[..., 1]
        output = self.model(
            input_ids=rows.hidden[..., 0], attention_mask=rows.attention_mask, **kwargs
        )
        return rows, output.logits[:, list(self.order)]
