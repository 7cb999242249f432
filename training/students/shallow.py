"""The shallow student: the first layers of the large tier, embeddings and all, with one exit.

Cut as it is, as patient distillation begins too (Sun et al. 2019, arXiv 1908.09355); or narrower:
the embeddings on their main directions, and fresh layers of that width.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel, PreTrainedModel

from services.models.families import family_of
from services.models.loading import first_layers
from services.models.multi_exit import MultiExitClassifier

# Beside the words'; not every family has them.
TABLES = ("position_embeddings", "token_type_embeddings")
# Between the two matrices of a layer's feed-forward part, relative to its width.
INNER = 4


def cut(teacher: MultiExitClassifier, layers: int, width: int | None) -> MultiExitClassifier:
    """An encoder of `layers` layers that starts from the teacher's, with a fresh exit behind them.

    width: None for the teacher's own.  Layers of another width begin at random.
    """
    encoder = first_layers(teacher.encoder, layers)
    if width is not None:
        encoder = _narrower(encoder, width)
    config = replace(teacher.config, exits=(layers,), keep=None)
    return MultiExitClassifier(encoder, config)


def _narrower(encoder: PreTrainedModel, width: int) -> PreTrainedModel:
    """A BERT of that width, of as many layers, whose embeddings are this encoder's, projected."""
    known, words, tables = encoder.config, words_of(encoder), _tables(encoder)
    positions = tables.get("position_embeddings")
    narrow = BertConfig(
        vocab_size=len(words),
        hidden_size=width,
        num_hidden_layers=known.num_hidden_layers,
        num_attention_heads=_heads(width, known.hidden_size // known.num_attention_heads),
        intermediate_size=INNER * width,
        max_position_embeddings=known.max_position_embeddings
        if positions is None
        else len(positions),
        pad_token_id=known.pad_token_id,
    )
    narrower = BertModel(narrow, add_pooling_layer=False)
    directions = main_directions(words, width)
    with torch.no_grad():
        for name, table in {"word_embeddings": words, **tables}.items():
            target = narrower.get_parameter(f"embeddings.{name}.weight")
            # Where the table is narrower than asked for, the rest stays as it begins.
            target[: len(table), : directions.shape[1]] = table @ directions
    return narrower


def words_of(encoder: PreTrainedModel) -> Tensor:
    """The token embeddings (V, H) of any encoder."""
    return encoder.get_input_embeddings().get_parameter("weight").detach().cpu()


def _tables(encoder: PreTrainedModel) -> dict[str, Tensor]:
    """What else is looked up and added to the words, with positions counted from 0."""
    family = family_of(encoder.config)
    embeddings = encoder.get_submodule(family.embeddings)
    modules = {name: getattr(embeddings, name, None) for name in TABLES}
    tables = {
        name: module.get_parameter("weight").detach().cpu()
        for name, module in modules.items()
        if isinstance(module, nn.Embedding)
    }
    if family.shifted and "position_embeddings" in tables:
        # These begin behind the padding token.
        first = encoder.config.pad_token_id + 1
        tables["position_embeddings"] = tables["position_embeddings"][first:]
    return tables


def _heads(width: int, per_head: int) -> int:
    """As many heads of about the teacher's size as divide the width evenly."""
    return next(count for count in range(max(width // per_head, 1), 0, -1) if width % count == 0)


def main_directions(vectors: Tensor, count: int) -> Tensor:
    """The `count` orthonormal directions (H, count) along which vectors (N, H) vary most."""
    centred = vectors - vectors.mean(dim=0)
    _, rising = torch.linalg.eigh(centred.T @ centred)
    directions: Tensor = rising.flip(1)[:, :count]
    return directions
