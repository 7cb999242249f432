"""A family of encoders: how it embeds, what its layers are called with, what they cost.

Layers run one by one, so that rows can leave between them; what Hugging Face's own forward does
around the layers is done here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.masking_utils import create_bidirectional_mask

from offramp.decision.cost import CostCurve

# Runs one layer on states (B, T, H).
Run = Callable[[nn.Module, Tensor], Tensor]


@dataclass(frozen=True)
class Family:
    """BERT's way, and where in the encoder its parts lie; what works otherwise is a subclass.

    mapping: from the embeddings' width to that of the layers; an encoder may have none.
    norm: behind the last layer, in encoders whose layers normalise what they read, not what they
        write. Exits at every depth read through it.
    attends: the projections to queries and keys in a layer; None where layers see where tokens
        stand, so that none may be dropped between them.
    shifted: whether positions are counted from behind the padding token.
    gated: whether the feed-forward part has a third matrix, a gate.
    """

    embeddings: str = "embeddings"
    layer: str = "encoder.layer"
    mapping: str | None = None
    norm: str | None = None
    attends: tuple[str, str] | None = ("attention.self.query", "attention.self.key")
    shifted: bool = False
    gated: bool = False

    def check(self, config: PretrainedConfig) -> None:
        """Raise ValueError for an encoder that is set up in a way that does not work here."""
        if getattr(config, "is_decoder", False):
            raise ValueError(
                f"this {config.model_type!r} is set up as a decoder (is_decoder): use an encoder"
            )

    def layers(self, encoder: PreTrainedModel) -> list[nn.Module]:
        """The transformer layers, first to last."""
        return list(encoder.get_submodule(self.layer).children())

    def embed(
        self,
        encoder: PreTrainedModel,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None,
    ) -> Tensor:
        """What the first layer reads (B, T, H)."""
        given = {}
        # Some know no segments, whatever their tokenizer says.
        if token_type_ids is not None and hasattr(encoder.config, "type_vocab_size"):
            given["token_type_ids"] = token_type_ids
        hidden = encoder.get_submodule(self.embeddings)(input_ids, **given)
        return self._mapped(encoder, hidden)

    def _mapped(self, encoder: PreTrainedModel, hidden: Tensor) -> Tensor:
        below, _, name = (self.mapping or "").rpartition(".")
        mapping = getattr(encoder.get_submodule(below), name, None) if name else None
        return hidden if mapping is None else mapping(hidden)

    def runner(self, encoder: PreTrainedModel, hidden: Tensor, attention_mask: Tensor) -> Run:
        """What runs the layers on states of this shape, with all that they are given beside."""
        mask = mask_for(encoder, hidden, attention_mask)
        return lambda layer, states: first_of(layer(states, mask))

    def readable(self, encoder: PreTrainedModel, hidden: Tensor) -> Tensor:
        """States behind a layer as Hugging Face gives them out behind the last one."""
        if self.norm is None:
            return hidden
        normed: Tensor = encoder.get_submodule(self.norm)(hidden)
        return normed

    def entry_cost(self, config: PretrainedConfig) -> CostCurve:
        """FLOPs of what runs once, whatever the depth."""
        for name in ("embedding_size", "input_embedding_size"):
            narrow = getattr(config, name, None) or config.hidden_size
            if narrow != config.hidden_size:
                return CostCurve(linear=2.0 * narrow * config.hidden_size)
        return CostCurve()

    def layer_cost(self, config: PretrainedConfig) -> CostCurve:
        """FLOPs of one layer."""
        width, heads = config.hidden_size, config.num_attention_heads
        inner = getattr(config, "intermediate_size", None) or config.hidden_dim
        # Heads may share their keys and values.
        shared = (getattr(config, "num_key_value_heads", None) or heads) / heads
        weights = (2 + 2 * shared) * width**2 + (3 if self.gated else 2) * width * inner
        return CostCurve(linear=2.0 * weights, quadratic=2.0 * 2 * width)


def mask_for(encoder: PreTrainedModel, hidden: Tensor, attention_mask: Tensor) -> Any:
    """Which tokens are attended (B, 1, 1, T): no padding. In the form that the layers take.

    Hugging Face's own has a row for every token, found by index arithmetic that a stage run by
    OpenVINO would do anew for every batch: a third of its operations.
    """
    if encoder.config._attn_implementation == "sdpa":
        return attention_mask[:, None, None, :].bool()
    return create_bidirectional_mask(encoder.config, hidden, attention_mask)


def first_of(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    """The states among what a layer returns."""
    return output[0] if isinstance(output, tuple) else output
