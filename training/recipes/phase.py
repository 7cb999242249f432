"""One phase of a recipe, and what the losses of all recipes are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from services.models.multi_exit import MultiExitClassifier

Inputs: TypeAlias = tuple[Tensor, Tensor, Tensor | None]
Loss: TypeAlias = Callable[[MultiExitClassifier, Inputs, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Phase:
    """One run of the training loop.

    name: names the checkpoint; unique in a recipe.  title: stands beside the progress bar.
    trained: what learns; the rest of the network is as it was left, without dropout or gradients.
    loss: of the network on the inputs of a batch, given the batch's aims (B, C): each row a label
        distribution times the weight of its class, or all zeros for a text without a label.
    unlabelled: whether texts without a label are learned from too.
    """

    name: str
    title: str
    trained: nn.Module
    loss: Loss
    unlabelled: bool = False


def cross_entropy(logits: Tensor, aims: Tensor) -> Tensor:
    """Mean over rows of the cross-entropy of logits (..., B, C) against aims that fit: (...)."""
    return -(aims * logits.float().log_softmax(dim=-1)).sum(dim=-1).mean(dim=-1)


def depth_weights(logits: Tensor) -> Tensor:
    """Weights (E,) of the exits' losses: exit e of E counts as (e / E)^2; they sum to one.

    So that the earlier exits do not cost the last one its accuracy.
    """
    depth = torch.arange(1, len(logits) + 1, device=logits.device) / len(logits)
    return depth**2 / (depth**2).sum()
