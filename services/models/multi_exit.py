"""The large tier's network: an encoder of the BERT family, a classifier on several of its layers.

After *The Right Tool for the Job* (Schwartz et al. 2020, arXiv 2004.07453): the classifier of an
exit reads a learned softmax-weighted sum of the pooled states of all layers up to its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.masking_utils import create_bidirectional_mask

from services.models.heads import AttentionPool, ExitHead, pool
from services.models.staged import RowStates, StagedNetwork


@dataclass(frozen=True, slots=True)
class MultiExitConfig:
    """What turns an encoder into a multi-exit classifier.

    exits: layers (1-based, ascending) that carry a classifier; the last is the full depth.
    pooling: from token states to one state per layer: attention (learned), mean, or cls (the first
        token's).
    """

    exits: tuple[int, ...]
    labels: int
    pooling: str = "attention"
    dropout: float = 0.1


class MultiExitClassifier(StagedNetwork):
    """An encoder run in stages; stage i ends at exit i with logits for every row."""

    def __init__(self, encoder: PreTrainedModel, config: MultiExitConfig) -> None:
        super().__init__()
        depth = len(encoder_layers(encoder))
        if not config.exits or list(config.exits) != sorted(set(config.exits)):
            raise ValueError(f"exits must be ascending layer numbers, got {config.exits}")
        if config.exits[0] < 1 or config.exits[-1] > depth:
            raise ValueError(f"exits must lie in 1..{depth} for this encoder, got {config.exits}")
        self.encoder = encoder
        self.config = config
        self.stages = len(config.exits)
        width = encoder.config.hidden_size
        self.pools = nn.ModuleList()
        if config.pooling == "attention":
            parts = encoder.config.num_attention_heads
            self.pools.extend(AttentionPool(width, parts) for _ in range(config.exits[-1] + 1))
        self.heads = nn.ModuleList(
            ExitHead(layer + 1, width, config.labels, config.dropout) for layer in config.exits
        )

    def embed(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None
    ) -> RowStates:
        """Embed a padded batch of (B, T) token ids."""
        kwargs = {}
        # DistilBERT knows no segments, whatever its tokenizer says.
        if token_type_ids is not None and hasattr(self.encoder.config, "type_vocab_size"):
            kwargs["token_type_ids"] = token_type_ids
        hidden = self.encoder.get_submodule("embeddings")(input_ids=input_ids, **kwargs)
        project = getattr(self.encoder, "embeddings_project", None)
        if project is not None:
            hidden = project(hidden)
        return RowStates(hidden, attention_mask, self._pooled(0, hidden, attention_mask))

    def _pooled(self, layer: int, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """States behind a layer (B, T, H), 0 for the embeddings, as one per row (B, 1, H)."""
        if self.pools:
            found: Tensor = self.pools[layer](hidden, attention_mask)
        else:
            found = pool(hidden, attention_mask, self.config.pooling)
        return found.unsqueeze(1)

    def run_stage(self, stage: int, rows: RowStates) -> tuple[RowStates, Tensor]:
        """Run the layers between two exits; return the new states and logits (B, C)."""
        first = self.config.exits[stage - 1] if stage else 0
        last = self.config.exits[stage]
        mask = create_bidirectional_mask(
            config=self.encoder.config,
            inputs_embeds=rows.hidden,
            attention_mask=rows.attention_mask,
        )
        hidden = rows.hidden
        pooled = [rows.pooled]
        for number, layer in enumerate(encoder_layers(self.encoder)[first:last], start=first + 1):
            output = layer(hidden, mask)
            hidden = output[0] if isinstance(output, tuple) else output
            pooled.append(self._pooled(number, hidden, rows.attention_mask))
        states = RowStates(hidden, rows.attention_mask, torch.cat(pooled, dim=1))
        logits = self.heads[stage](states.pooled)
        return states, logits


FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert")


def check_family(config: PretrainedConfig) -> None:
    """Raise ValueError unless `config` is of an encoder that can be cut into layers here."""
    if config.model_type not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise ValueError(
            f"encoder type {config.model_type!r} is not supported; use one of: {known}"
        )


def encoder_layers(encoder: PreTrainedModel) -> nn.ModuleList:
    """The transformer layers of an encoder of the BERT family, first to last."""
    check_family(encoder.config)
    stack = "transformer" if encoder.config.model_type == "distilbert" else "encoder"
    layers = encoder.get_submodule(f"{stack}.layer")
    if not isinstance(layers, nn.ModuleList):
        raise TypeError(f"{stack}.layer of {type(encoder).__name__} is no list of layers")
    return layers
