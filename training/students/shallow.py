"""The shallow student: the first layers of the large tier, embeddings and all, with one exit.

Cut as it is, as patient distillation begins too (Sun et al. 2019, arXiv 1908.09355); or narrower:
the embeddings on their main directions, and fresh layers of that width.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn
from transformers import AutoModel, BertConfig, BertModel, PreTrainedModel

from services.models.loading import bare_encoder
from services.models.multi_exit import MultiExitClassifier
from training.cut import SHIFTED_FAMILIES

TABLES = ("word_embeddings", "position_embeddings", "token_type_embeddings")
# Between the two matrices of a layer's feed-forward part, relative to its width.
INNER = 4


def cut(teacher: MultiExitClassifier, layers: int, width: int | None) -> MultiExitClassifier:
    """An encoder of `layers` layers that starts from the teacher's, with a fresh exit behind them.

    width: None for the teacher's own.  Layers of another width begin at random.
    """
    encoder = _shorter(teacher.encoder, layers)
    if width is not None:
        encoder = _narrower(encoder, width)
    config = replace(teacher.config, exits=(layers,), keep=None)
    return MultiExitClassifier(encoder, config)


def _shorter(encoder: PreTrainedModel, layers: int) -> PreTrainedModel:
    """A copy of the embeddings and of the first layers."""
    config = copy.deepcopy(encoder.config)
    config.num_hidden_layers = layers
    shorter = bare_encoder(AutoModel.from_config(config))
    kept = shorter.state_dict().keys()
    weights = encoder.state_dict()
    shorter.load_state_dict({name: weights[name] for name in kept})
    return shorter


def _narrower(encoder: PreTrainedModel, width: int) -> PreTrainedModel:
    """A BERT of that width, of as many layers, whose embeddings are this encoder's, projected."""
    known, embeddings = encoder.config, encoder.get_submodule("embeddings")
    tables = {name: _table(embeddings, name) for name in TABLES if hasattr(embeddings, name)}
    if known.model_type in SHIFTED_FAMILIES:
        # These count positions from behind the padding token; BERT counts from 0.
        tables["position_embeddings"] = tables["position_embeddings"][known.pad_token_id + 1 :]
    narrow = BertConfig(
        vocab_size=len(tables["word_embeddings"]),
        hidden_size=width,
        num_hidden_layers=known.num_hidden_layers,
        num_attention_heads=_heads(width, known.hidden_size // known.num_attention_heads),
        intermediate_size=INNER * width,
        max_position_embeddings=len(tables["position_embeddings"]),
        pad_token_id=known.pad_token_id,
    )
    narrower = BertModel(narrow, add_pooling_layer=False)
    directions = main_directions(tables["word_embeddings"], width)
    with torch.no_grad():
        for name, table in tables.items():
            target = narrower.get_parameter(f"embeddings.{name}.weight")
            target[: len(table)] = table @ directions
    return narrower


def _table(embeddings: nn.Module, name: str) -> Tensor:
    return embeddings.get_parameter(f"{name}.weight").detach().cpu()


def _heads(width: int, per_head: int) -> int:
    """As many heads of about the teacher's size as divide the width evenly."""
    return next(count for count in range(max(width // per_head, 1), 0, -1) if width % count == 0)


def main_directions(vectors: Tensor, count: int) -> Tensor:
    """The `count` orthonormal directions (H, count) along which vectors (N, H) vary most."""
    centred = vectors - vectors.mean(dim=0)
    _, rising = torch.linalg.eigh(centred.T @ centred)
    directions: Tensor = rising.flip(1)[:, :count]
    return directions
