"""`taught`: the last exit's answers teach the earlier ones: FastBERT (arXiv 2004.02178).

An answer is a whole distribution, which says more than a label, and needs none: texts without a
label teach too. Published, the backbone is trained first and then stands still
(`backbone_first`); by default all layers learn at once, and the label counts beside the answer.
"""

from __future__ import annotations

import torch
from torch import Tensor

from services.models.multi_exit import MultiExitClassifier
from training.recipes.frozen import backbone_then_heads
from training.recipes.phase import Inputs, Loss, Phase, cross_entropy, depth_weights
from training.settings import LargeSettings


def phases(network: MultiExitClassifier, options: LargeSettings) -> tuple[Phase, ...]:
    """One phase over the whole network; with `backbone_first` two, as published."""
    if options.backbone_first:
        title = "large tier: earlier exits taught by the last"
        return backbone_then_heads(network, title, by_answers, unlabelled=True)
    title = "large tier: exits taught by the last"
    return (Phase("large", title, network, together(options.teach), unlabelled=True),)


def together(teach: float) -> Loss:
    """The loss of all exits: the earlier ones learn from label and answer, the last from the label.

    teach: weight of the answer, beside the label.
    """

    def loss(network: MultiExitClassifier, inputs: Inputs, aims: Tensor) -> Tensor:
        logits = network(*inputs)
        lessons = taught_aims(aims, answers(logits), teach).expand_as(logits[:-1])
        found = cross_entropy(logits, torch.cat([lessons, aims.unsqueeze(0)]))
        return (depth_weights(logits) * found).sum()

    return loss


def by_answers(network: MultiExitClassifier, inputs: Inputs, aims: Tensor) -> Tensor:
    """The mean loss of the earlier exits against the last exit's answers; labels do not count.

    Up to a constant, the Kullback-Leibler divergence of their answers from its.
    """
    logits = network(*inputs)
    return cross_entropy(logits[:-1], answers(logits)).mean()


def answers(logits: Tensor) -> Tensor:
    """The last exit's distributions (B, C), of logits (E, B, C); no gradient goes back."""
    return logits[-1].detach().float().softmax(dim=-1)


def taught_aims(aims: Tensor, answers: Tensor, teach: float) -> Tensor:
    """Aims (B, C) that hold the label and, with weight `teach`, the answer; where there is no
    label, the answer alone. A row weighs what it weighed before.
    """
    weight = aims.sum(dim=-1, keepdim=True)
    return (1 - teach) * aims + torch.where(weight > 0, teach * weight, 1.0) * answers
