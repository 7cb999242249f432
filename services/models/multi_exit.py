"""The large tier's network: an encoder of the BERT family, a classifier on several of its layers.

After *The Right Tool for the Job* (Schwartz et al. 2020, arXiv 2004.07453): the classifier of an
exit reads a learned softmax-weighted sum of the pooled states of all layers up to its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.masking_utils import create_bidirectional_mask

from services.models.dropping import (
    attention_received,
    keep_most_attended,
    projected,
    tokens_kept,
)
from services.models.heads import AttentionPool, ExitHead, pool
from services.models.staged import RowStates, StagedNetwork

if TYPE_CHECKING:
    from transformers.models.mpnet.modeling_mpnet import MPNetEncoder


@dataclass(frozen=True, slots=True)
class MultiExitConfig:
    """What turns an encoder into a multi-exit classifier.

    exits: layers (1-based, ascending) that carry a classifier; the last is the full depth.
    pooling: from token states to one state per layer: attention (learned), mean, or cls (the first
        token's).
    keep: share of a row's tokens that goes on behind each exit but the last; None keeps all.
    """

    exits: tuple[int, ...]
    labels: int
    pooling: str = "attention"
    dropout: float = 0.1
    keep: tuple[float, ...] | None = None


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
        self.keep_tokens(config.keep)
        self.stages = len(config.exits)
        width = encoder.config.hidden_size
        self.pools = nn.ModuleList()
        if config.pooling == "attention":
            parts = encoder.config.num_attention_heads
            self.pools.extend(AttentionPool(width, parts) for _ in range(config.exits[-1] + 1))
        self.heads = nn.ModuleList(
            ExitHead(layer + 1, width, config.labels, config.dropout) for layer in config.exits
        )

    def keep_tokens(self, shares: Sequence[float] | None) -> None:
        """From now on, let this share of a row's tokens go on behind each exit but the last."""
        if shares is not None and knows_distances(self.encoder):
            kind = self.encoder.config.model_type
            raise ValueError(f"encoder type {kind!r} sees distances: it must keep all tokens")
        borders = len(self.config.exits) - 1
        if shares is not None and (
            len(shares) != borders or not all(0.0 < share <= 1.0 for share in shares)
        ):
            raise ValueError(
                f"keep must give {borders} shares in 0..1, one per exit but the last, got {shares}"
            )
        self.config = replace(self.config, keep=None if shares is None else tuple(shares))

    def share_after(self, stage: int) -> float:
        """The share of a row's tokens that goes on behind a stage."""
        shares = self.config.keep or ()
        return shares[stage] if stage < len(shares) else 1.0

    def with_exits(self, exits: Sequence[int]) -> MultiExitClassifier:
        """The same layers, shared, with the classifiers of only some exits; keeps all tokens.

        A classifier reads layers, not other exits, so those that stay answer as before.
        """
        network = MultiExitClassifier(
            self.encoder, replace(self.config, exits=tuple(exits), keep=None)
        )
        network.heads = nn.ModuleList(
            self.heads[self.config.exits.index(layer)] for layer in network.config.exits
        )
        network.pools = self.pools[: network.config.exits[-1] + 1]
        return network.train(self.training)

    def lengths_after(self, stage: int, lengths: Tensor) -> Tensor:
        """Tokens (B,) that rows go on with, once the least attended ones are dropped."""
        share = self.share_after(stage)
        return tokens_kept(lengths, share) if share < 1.0 else lengths

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
        layers = encoder_layers(self.encoder)[first : self.config.exits[stage]]
        share = self.share_after(stage)
        mask = create_bidirectional_mask(
            config=self.encoder.config,
            inputs_embeds=rows.hidden,
            attention_mask=rows.attention_mask,
        )
        hidden = rows.hidden
        distances = _distances(self.encoder, hidden)
        pooled = [rows.pooled]
        with projected(layers[-1]) if share < 1.0 else nullcontext() as attention:
            for number, layer in enumerate(layers, start=first + 1):
                output = layer(hidden, mask, *distances)
                hidden = output[0] if isinstance(output, tuple) else output
                pooled.append(self._pooled(number, hidden, rows.attention_mask))
        states = RowStates(hidden, rows.attention_mask, torch.cat(pooled, dim=1))
        logits = self.heads[stage](states.pooled)
        if attention:
            queries, keys = attention
            heads = self.encoder.config.num_attention_heads
            received = attention_received(queries, keys, states.attention_mask, heads)
            states = keep_most_attended(states, received, share)
        return states, logits


FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert", "mpnet")


def check_family(config: PretrainedConfig) -> None:
    """Raise ValueError unless `config` is of an encoder that can be cut into layers here."""
    if config.model_type not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise ValueError(
            f"encoder type {config.model_type!r} is not supported; use one of: {known}"
        )


def knows_distances(encoder: PreTrainedModel) -> bool:
    """Whether layers see how far tokens lie apart (MPNet, arXiv 2004.09297), so none may go."""
    return hasattr(encoder.get_submodule(_stack(encoder)), "compute_position_bias")


def _distances(encoder: PreTrainedModel, hidden: Tensor) -> tuple[Tensor, ...]:
    """What every layer is given beside states and mask: how distances weigh, where they do."""
    if not knows_distances(encoder):
        return ()
    stack = cast("MPNetEncoder", encoder.get_submodule(_stack(encoder)))
    return (stack.compute_position_bias(hidden),)


def _stack(encoder: PreTrainedModel) -> str:
    return "transformer" if encoder.config.model_type == "distilbert" else "encoder"


def encoder_layers(encoder: PreTrainedModel) -> nn.ModuleList:
    """The transformer layers of an encoder of the BERT family, first to last."""
    check_family(encoder.config)
    stack = _stack(encoder)
    layers = encoder.get_submodule(f"{stack}.layer")
    if not isinstance(layers, nn.ModuleList):
        raise TypeError(f"{stack}.layer of {type(encoder).__name__} is no list of layers")
    return layers
