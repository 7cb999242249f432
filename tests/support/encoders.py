"""A tiny random encoder of every family, whose numbers are large enough to tell errors."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModel, PreTrainedModel

from services.models.families import FAMILIES
from services.models.loading import bare_encoder

SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
RELATIVE: dict[str, Any] = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
# As its published models are set up, where that is not what the defaults say.
OWN: dict[str, dict[str, Any]] = {
    "albert": {"embedding_size": 16},
    "deberta": {**RELATIVE, "position_biased_input": False},
    "deberta-v2": {
        **RELATIVE,
        "position_biased_input": False,
        "position_buckets": 4,
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
    },
    "distilbert": {"hidden_dim": 64},
    "electra": {"embedding_size": 16},
    "eurobert": {"num_key_value_heads": 2, "mask_token_id": 4, "initializer_range": 0.1},
    "modernbert": {"local_attention": 6, "cls_token_id": 2, "sep_token_id": 3},
    # A gate multiplies two numbers of the same size: rounding grows faster.
    "nomic_bert": {"initializer_range": 0.1},
    "rembert": {"input_embedding_size": 16},
}
# What a family's published models differ in among themselves.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "deberta-v2-xlarge": (
        "deberta-v2",
        {**RELATIVE, "position_biased_input": False, "conv_kernel_size": 3},
    ),
    "deberta-absolute": ("deberta", {}),
    "minilm": ("bert", {"max_position_embeddings": 64}),
}
NAMES = (*FAMILIES, *VARIANTS)
DROPPING = tuple(
    name for name in NAMES if FAMILIES[VARIANTS.get(name, (name,))[0]].attends is not None
)


def make(name: str, **changes: Any) -> PreTrainedModel:
    """An encoder in eval mode, without a pooler; the same each time."""
    torch.manual_seed(3)
    family, own = VARIANTS.get(name, (name, OWN.get(name, {})))
    shifted = {"pad_token_id": 1} if FAMILIES[family].shifted else {}
    config = AutoConfig.for_model(family, **{**SIZES, **shifted, **own, **changes})
    encoder: PreTrainedModel = bare_encoder(AutoModel.from_config(config)).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            if parameter.ndim == 1:  # norms and biases begin as ones and zeros
                parameter.add_(0.1 * torch.randn_like(parameter))
    return encoder
