"""Parameter groups of the large model: which learning rate and which weight decay each one has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import nn

from services.models.multi_exit import MultiExitClassifier
from training.settings import LargeSettings


def groups(network: MultiExitClassifier, options: LargeSettings) -> list[dict[str, Any]]:
    """AdamW groups of what requires gradients; heads fast, layers slower the deeper down they lie.

    Embeddings, biases and norms are not decayed.
    """
    # ALBERT runs one and the same layer again and again.
    layers = list(dict.fromkeys(network.family.layers(network.encoder)))
    in_layers = {id(p) for layer in layers for p in layer.parameters()}
    found: list[dict[str, Any]] = []
    for fresh in (network.heads, network.pools):
        found += _decayed(fresh, options.head_learning_rate, options.weight_decay)
    for height, layer in enumerate(reversed(layers)):
        rate = options.learning_rate * options.layer_decay**height
        found += _decayed(layer, rate, options.weight_decay)
    below = (p for p in network.encoder.parameters() if id(p) not in in_layers)
    found.append(_group(below, options.learning_rate * options.layer_decay ** len(layers), 0.0))
    return [group for group in found if group["params"]]


def _decayed(module: nn.Module, rate: float, decay: float) -> Iterator[dict[str, Any]]:
    yield _group((p for p in module.parameters() if p.ndim > 1), rate, decay)
    yield _group((p for p in module.parameters() if p.ndim <= 1), rate, 0.0)


def _group(parameters: Iterable[nn.Parameter], rate: float, decay: float) -> dict[str, Any]:
    trained = [p for p in parameters if p.requires_grad]
    return {"params": trained, "lr": rate, "weight_decay": decay}
