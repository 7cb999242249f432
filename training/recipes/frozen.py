"""`frozen`: the backbone first, then the earlier heads on it: DeeBERT (arXiv 2004.12993).

The first phase is plain fine-tuning of the last exit, which is therefore as good as it gets. In the
second all of that stands still, and the earlier exits make what they can of it.
"""

from __future__ import annotations

from torch import Tensor

from services.models.multi_exit import MultiExitClassifier
from training.recipes.phase import Inputs, Loss, Phase, cross_entropy
from training.settings import LargeSettings


def phases(network: MultiExitClassifier, options: LargeSettings) -> tuple[Phase, ...]:
    """The backbone with the last exit; then the other heads, from the labels."""
    return backbone_then_heads(network, "large tier: earlier exits", earlier_exits)


def backbone_then_heads(
    network: MultiExitClassifier, title: str, loss: Loss, unlabelled: bool = False
) -> tuple[Phase, ...]:
    """Fine-tuning as if the last exit were the only one; then the others, if any, by `loss`."""
    backbone = Phase("large", "large tier: backbone and last exit", network, last_exit)
    if network.stages == 1:
        return (backbone,)
    return (backbone, Phase("large-heads", title, network.heads[:-1], loss, unlabelled))


def last_exit(network: MultiExitClassifier, inputs: Inputs, aims: Tensor) -> Tensor:
    """The last exit's loss."""
    return cross_entropy(network(*inputs)[-1], aims)


def earlier_exits(network: MultiExitClassifier, inputs: Inputs, aims: Tensor) -> Tensor:
    """The mean of the other exits' losses."""
    return cross_entropy(network(*inputs)[:-1], aims).mean()
