"""FLOPs of the networks, counted from their shapes: a multiply-add is two operations.

Embedding look-ups, normalisation, activations and softmax are left out, as in the papers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from transformers import PretrainedConfig

from offramp.decision.cost import CostCurve
from services.models.families import BERT, FAMILIES
from services.models.multi_exit import MultiExitClassifier
from services.models.sequence_classifier import SequenceClassifier
from services.models.staged import StagedNetwork
from services.models.student import Student, StudentConfig


def exit_flops(network: StagedNetwork) -> tuple[CostCurve, ...]:
    """FLOPs of a text of n tokens from the network's input up to each of its exits."""
    if isinstance(network, MultiExitClassifier):
        return _multi_exit(network)
    if isinstance(network, Student):
        return (_student(network),)
    if isinstance(network, SequenceClassifier):
        return (_sequence_classifier(network.model.config),)
    raise TypeError(f"no FLOP count for {type(network).__name__}")


def _sequence_classifier(config: PretrainedConfig) -> CostCurve:
    """Of any family: one that is not known here is counted as if it were BERT."""
    family = FAMILIES.get(config.model_type, BERT)
    head = 2.0 * config.hidden_size * (config.hidden_size + config.num_labels)
    layers = _times(family.layer_cost(config), config.num_hidden_layers)
    return family.entry_cost(config) + layers + CostCurve(constant=head)


def _times(curve: CostCurve, count: int) -> CostCurve:
    return CostCurve(curve.constant * count, curve.linear * count, curve.quadratic * count)


def _multi_exit(network: MultiExitClassifier) -> tuple[CostCurve, ...]:
    config = network.encoder.config
    spent, tokens = network.family.entry_cost(config), _Tokens()
    layer, curves, done = network.family.layer_cost(config) + _pooling(network), [], 0
    for stage, depth in enumerate(network.config.exits):
        mix = (depth + 1) * config.hidden_size
        dense = config.hidden_size * (config.hidden_size + network.config.labels)
        spent = spent + tokens.cost(_times(layer, depth - done))
        spent = spent + CostCurve(constant=2.0 * (mix + dense))
        share = network.share_after(stage)
        if share < 1.0:
            # Who attends to whom is worked out once more: fused attention does not tell.
            spent = spent + tokens.cost(CostCurve(quadratic=2.0 * config.hidden_size))
            tokens = tokens.kept(share)
        curves.append(spent)
        done = depth
    return tuple(curves)


def _pooling(network: MultiExitClassifier) -> CostCurve:
    """Of one layer's states, where the pooling is learned; a mean is not counted."""
    if not network.pools:
        return CostCurve()
    config = network.encoder.config
    return CostCurve(linear=2.0 * config.hidden_size * (config.num_attention_heads + 1))


@dataclass(frozen=True, slots=True)
class _Tokens:
    """What is left of n tokens: slope * n + offset."""

    slope: float = 1.0
    offset: float = 0.0

    def kept(self, share: float) -> _Tokens:
        """A share of them; that it is rounded up adds about half a token on average."""
        return _Tokens(share * self.slope, share * self.offset + 0.5)

    def cost(self, curve: CostCurve) -> CostCurve:
        """Cost as a curve over n of something that runs on what is left."""
        return CostCurve(
            float(curve.at(self.offset)),
            (curve.linear + 2.0 * curve.quadratic * self.offset) * self.slope,
            curve.quadratic * self.slope**2,
        )


def _student(network: Student) -> CostCurve:
    """Comparing the texts of a pair, reading the tokens, pooling them, and the hidden layer."""
    sizes = network.config
    features = network.attend.in_features
    pooled = features * (sizes.pooling_heads + 1)
    head = CostCurve(
        constant=2.0 * sizes.width * (pooled + sizes.labels),
        linear=2.0 * 2 * features * sizes.pooling_heads,
    )
    reading = CostCurve(linear=2.0 * _READING[sizes.kind](sizes))
    return head + reading + (_comparison(sizes.embedding) if sizes.pairs else CostCurve())


def _comparison(width: int) -> CostCurve:
    """Each token against each, and what it takes from the other text."""
    return CostCurve(linear=2.0 * 3 * width * width, quadratic=2.0 * 2 * width)


def _convolutions(sizes: StudentConfig) -> int:
    behind = len(sizes.dilations) - 1
    return sizes.kernel * sizes.width * (sizes.embedding + behind * sizes.width)


def _both_directions(sizes: StudentConfig) -> int:
    state = sizes.width // 2
    return 2 * 4 * state * (sizes.embedding + state)


# Multiply-adds per token.
_READING: dict[str, Callable[[StudentConfig], int]] = {
    "static": lambda sizes: 0,
    "conv": _convolutions,
    "recurrent": _both_directions,
}
