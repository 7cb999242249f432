"""`sweet`: each layer learns from the next exit only: SWEET (arXiv 2306.02307).

Exits that share layers pull them different ways. Here every exit has layers of its own, those
between the exit before it and itself: gradients end at that border. What an exit's mix of layers
reads from below the border counts for its answer, but does not train the layers that it came from.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from services.models.multi_exit import MultiExitClassifier
from training.recipes.phase import Inputs, Phase, cross_entropy
from training.settings import LargeSettings


def phases(network: MultiExitClassifier, options: LargeSettings) -> tuple[Phase, ...]:
    """One phase, over the whole network."""
    return (Phase("large", "large tier: each exit its own layers", network, loss),)


def loss(network: MultiExitClassifier, inputs: Inputs, aims: Tensor) -> Tensor:
    """The mean of the exits' losses: since they share no weights, none need weigh more."""
    return cross_entropy(separated(network, inputs), aims).mean()


def separated(network: MultiExitClassifier, inputs: Inputs) -> Tensor:
    """Logits (E, B, C) of every exit, through which gradients reach no exit's layers but its own.

    The embeddings belong to the first exit.
    """
    rows, logits = network.embed(*inputs), []
    for stage in range(network.stages):
        rows, found = network.run_stage(stage, rows)
        rows = replace(rows, hidden=rows.hidden.detach(), pooled=rows.pooled.detach())
        logits.append(found)
    return torch.stack(logits)
