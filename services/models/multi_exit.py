"""The large tier's network: an encoder, a classifier on several of its layers.

After *The Right Tool for the Job* (Schwartz et al. 2020, arXiv 2004.07453): the classifier of an
exit reads a learned softmax-weighted sum of the pooled states of all layers up to its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from services.models.dropping import (
    attention_received,
    keep_most_attended,
    projected,
    tokens_kept,
)
from services.models.families import family_of
from services.models.heads import AttentionPool, ExitHead, pool
from services.models.staged import RowStates, StagedNetwork


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
        self.family = family_of(encoder.config)
        depth = len(self.family.layers(encoder))
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
        if shares is not None and self.family.attends is None:
            kind = self.encoder.config.model_type
            raise ValueError(
                f"encoder type {kind!r} sees where tokens stand: it must keep all of them"
            )
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
        hidden = self.family.embed(self.encoder, input_ids, attention_mask, token_type_ids)
        return RowStates(hidden, attention_mask, self._pooled(0, hidden, attention_mask))

    def _pooled(self, layer: int, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """States behind a layer (B, T, H), 0 for the embeddings, as one per row (B, 1, H)."""
        states = self.family.readable(self.encoder, hidden)
        if self.pools:
            found: Tensor = self.pools[layer](states, attention_mask)
        else:
            found = pool(states, attention_mask, self.config.pooling)
        return found.unsqueeze(1)

    def run_stage(self, stage: int, rows: RowStates) -> tuple[RowStates, Tensor]:
        """Run the layers between two exits; return the new states and logits (B, C)."""
        first = self.config.exits[stage - 1] if stage else 0
        layers = self.family.layers(self.encoder)[first : self.config.exits[stage]]
        run = self.family.runner(self.encoder, rows.hidden, rows.attention_mask)
        hidden, pooled = rows.hidden, [rows.pooled]
        share = self.share_after(stage)
        attends = self.family.attends if share < 1.0 else None
        with projected(layers[-1], attends or ()) as attention:
            for number, layer in enumerate(layers, start=first + 1):
                hidden = run(layer, hidden)
                pooled.append(self._pooled(number, hidden, rows.attention_mask))
        states = RowStates(hidden, rows.attention_mask, torch.cat(pooled, dim=1))
        logits = self.heads[stage](states.pooled)
        if attention:
            queries, keys = attention.values()
            heads = self.encoder.config.num_attention_heads
            received = attention_received(queries, keys, states.attention_mask, heads)
            states = keep_most_attended(states, received, share)
        return states, logits
