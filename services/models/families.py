"""The encoders that can be cut into layers, and what each does otherwise than BERT."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.masking_utils import create_bidirectional_sliding_window_mask

from offramp.decision.cost import CostCurve
from services.models.family import Family, Run, first_of, mask_for

if TYPE_CHECKING:
    from transformers.models.deberta_v2.modeling_deberta_v2 import DebertaV2Encoder
    from transformers.models.modernbert.modeling_modernbert import ModernBertRotaryEmbedding
    from transformers.models.mpnet.modeling_mpnet import MPNetEncoder


class Albert(Family):
    """ALBERT (arXiv 1909.11942): one layer, run again and again."""

    def check(self, config: PretrainedConfig) -> None:
        """Raise ValueError where it is more than one, which no published model has."""
        super().check(config)
        if (config.num_hidden_groups, config.inner_group_num) != (1, 1):
            raise ValueError(
                "an ALBERT whose layers do not share all their weights is not supported"
            )

    def layers(self, encoder: PreTrainedModel) -> list[nn.Module]:
        """The same layer as often as it runs."""
        return [encoder.get_submodule(self.layer)] * encoder.config.num_hidden_layers

    def entry_cost(self, config: PretrainedConfig) -> CostCurve:
        """The mapping is there even where the widths are the same."""
        return CostCurve(linear=2.0 * config.embedding_size * config.hidden_size)


class Mpnet(Family):
    """MPNet (arXiv 2004.09297): how far tokens lie apart weighs in every layer."""

    def runner(self, encoder: PreTrainedModel, hidden: Tensor, attention_mask: Tensor) -> Run:
        """Distances are weighed once for all layers."""
        mask = mask_for(encoder, hidden, attention_mask)
        stack = cast("MPNetEncoder", encoder.get_submodule("encoder"))
        distances = stack.compute_position_bias(hidden)
        return lambda layer, states: first_of(layer(states, mask, distances))


class Deberta(Family):
    """DeBERTa (arXiv 2006.03654): content attends to relative positions, and they to content."""

    def embed(
        self,
        encoder: PreTrainedModel,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None,
    ) -> Tensor:
        """Padding is embedded as zeros."""
        embeddings = encoder.get_submodule(self.embeddings)
        hidden: Tensor = embeddings(input_ids, token_type_ids, mask=attention_mask)
        return hidden

    def runner(self, encoder: PreTrainedModel, hidden: Tensor, attention_mask: Tensor) -> Run:
        """Every layer sees the same relative positions; v2 may convolve behind its first."""
        # The first DeBERTa's has the same methods.
        stack = cast("DebertaV2Encoder", encoder.get_submodule("encoder"))
        mask = stack.get_attention_mask(attention_mask)
        positions, embedded = stack.get_rel_pos(hidden), stack.get_rel_embedding()
        first, convolution = stack.layer[0], getattr(stack, "conv", None)

        def run(layer: nn.Module, states: Tensor) -> Tensor:
            found: Tensor = layer(states, mask, relative_pos=positions, rel_embeddings=embedded)[0]
            if convolution is not None and layer is first:
                found = convolution(states, found, attention_mask)
            return found

        return run

    def layer_cost(self, config: PretrainedConfig) -> CostCurve:
        """Of a text by itself; a batch projects the relative positions once for all its rows."""
        return super().layer_cost(config) + self._positions_cost(config)

    def _positions_cost(self, config: PretrainedConfig) -> CostCurve:
        """A text of n tokens projects 2n relative positions, and compares each token with them."""
        products = 2.0 * _ways(config) * config.hidden_size
        return CostCurve(linear=products * 2 * config.hidden_size, quadratic=products * 2)


class DebertaV2(Deberta):
    """DeBERTa v2 and v3 (arXiv 2111.09543): relative positions in buckets."""

    def entry_cost(self, config: PretrainedConfig) -> CostCurve:
        """The convolution of the largest v2 models."""
        kernel = getattr(config, "conv_kernel_size", 0)
        weights = kernel * config.hidden_size**2 / getattr(config, "conv_groups", 1)
        return super().entry_cost(config) + CostCurve(linear=2.0 * weights)

    def _positions_cost(self, config: PretrainedConfig) -> CostCurve:
        """All relative positions are projected, however short the text."""
        span = getattr(config, "position_buckets", -1)
        if span < 1:
            span = config.max_relative_positions
        if span < 1:
            span = config.max_position_embeddings
        products = 2.0 * _ways(config) * config.hidden_size * 2 * span
        return CostCurve(constant=products * config.hidden_size, linear=products)


def _ways(config: PretrainedConfig) -> int:
    """How many of content to position and position to content there are."""
    return len(config.pos_att_type or ()) if config.relative_attention else 0


class Rotary(Family):
    """Queries and keys are turned by their token's position (RoFormer, arXiv 2104.09864)."""

    def runner(self, encoder: PreTrainedModel, hidden: Tensor, attention_mask: Tensor) -> Run:
        """The turns are the same in every layer."""
        mask = mask_for(encoder, hidden, attention_mask)
        turns = encoder.get_submodule("rotary_emb")(hidden, _places(hidden))
        return lambda layer, states: first_of(
            layer(states, attention_mask=mask, position_embeddings=turns)
        )


class ModernBert(Family):
    """ModernBERT (arXiv 2412.13663): most layers see a window only, and turn by other angles."""

    def runner(self, encoder: PreTrainedModel, hidden: Tensor, attention_mask: Tensor) -> Run:
        """A mask and turns for each of the two kinds of layers."""
        config = encoder.config
        masks = {
            "full_attention": mask_for(encoder, hidden, attention_mask),
            "sliding_attention": create_bidirectional_sliding_window_mask(
                config, hidden, attention_mask
            ),
        }
        rotary = cast("ModernBertRotaryEmbedding", encoder.get_submodule("rotary_emb"))
        turns = {kind: rotary(hidden, _places(hidden), kind) for kind in set(config.layer_types)}

        def run(layer: nn.Module, states: Tensor) -> Tensor:
            kind = str(layer.attention_type)
            return first_of(layer(states, masks[kind], turns[kind]))

        return run


def _places(hidden: Tensor) -> Tensor:
    return torch.arange(hidden.shape[1], device=hidden.device).unsqueeze(0)


BERT = Family()
ROBERTA = Family(shifted=True)
FAMILIES: dict[str, Family] = {
    "bert": BERT,
    "albert": Albert(
        layer="encoder.albert_layer_groups.0.albert_layers.0",
        mapping="encoder.embedding_hidden_mapping_in",
        attends=("attention.query", "attention.key"),
    ),
    "camembert": ROBERTA,
    "data2vec-text": ROBERTA,
    "deberta": Deberta(attends=None),
    "deberta-v2": DebertaV2(attends=None),
    "distilbert": Family(layer="transformer.layer", attends=("attention.q_lin", "attention.k_lin")),
    "electra": Family(mapping="embeddings_project"),
    "ernie": BERT,
    "eurobert": Rotary(
        embeddings="embed_tokens", layer="layers", norm="norm", attends=None, gated=True
    ),
    "megatron-bert": Family(norm="encoder.ln"),
    "modernbert": ModernBert(layer="layers", norm="final_norm", attends=None, gated=True),
    "mpnet": Mpnet(attends=None, shifted=True),
    "nomic_bert": Rotary(layer="layers", attends=None, gated=True),
    "rembert": Family(mapping="encoder.embedding_hidden_mapping_in"),
    "roberta": ROBERTA,
    "roberta-prelayernorm": Family(norm="LayerNorm", shifted=True),
    "xlm-roberta": ROBERTA,
    "xlm-roberta-xl": Family(norm="encoder.LayerNorm", shifted=True),
}


def family_of(config: PretrainedConfig) -> Family:
    """The family of an encoder.

    Raises ValueError where it cannot be cut into layers here, with the list of those that can.
    """
    if config.model_type not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise ValueError(
            f"encoder type {config.model_type!r} is not supported; use one of: {known}"
        )
    family = FAMILIES[config.model_type]
    family.check(config)
    return family


def cut_config(config: PretrainedConfig, layers: int) -> PretrainedConfig:
    """The configuration of an encoder of the same family, with its first layers only."""
    shorter = copy.deepcopy(config)
    shorter.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        shorter.layer_types = config.layer_types[:layers]
    return shorter
