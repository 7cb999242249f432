"""`joint`: all exits at once, on the labels: *The Right Tool for the Job* (arXiv 2004.07453).

Every layer learns from all the exits above it. The paper sums the losses; here deeper exits weigh
more.
"""

from __future__ import annotations

from torch import Tensor

from services.models.multi_exit import MultiExitClassifier
from training.recipes.phase import Inputs, Phase, cross_entropy, depth_weights
from training.settings import LargeSettings


def phases(network: MultiExitClassifier, options: LargeSettings) -> tuple[Phase, ...]:
    """One phase, over the whole network."""
    return (Phase("large", "large tier: all exits at once", network, loss),)


def loss(network: MultiExitClassifier, inputs: Inputs, aims: Tensor) -> Tensor:
    """The weighted mean of the exits' losses."""
    logits = network(*inputs)
    return (depth_weights(logits) * cross_entropy(logits, aims)).sum()
