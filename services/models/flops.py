"""FLOPs of the networks, counted from their shapes: a multiply-add is two operations.

Embedding look-ups, normalisation, activations and softmax are left out, as in the papers.
"""

from __future__ import annotations

from transformers import PretrainedConfig

from offramp.decision.cost import CostCurve
from services.models.multi_exit import MultiExitClassifier
from services.models.sequence_classifier import SequenceClassifier
from services.models.staged import StagedNetwork
from services.models.student import Student


def exit_flops(network: StagedNetwork) -> tuple[CostCurve, ...]:
    """FLOPs of a text of n tokens from the network's input up to each of its exits."""
    if isinstance(network, MultiExitClassifier):
        return _multi_exit(network)
    if isinstance(network, Student):
        return (_student(network),)
    if isinstance(network, SequenceClassifier):
        config = network.model.config
        head = CostCurve(
            constant=2.0 * config.hidden_size * (config.hidden_size + config.num_labels)
        )
        return (_times(_layer(config), config.num_hidden_layers) + head,)
    raise TypeError(f"no FLOP count for {type(network).__name__}")


def _layer(config: PretrainedConfig) -> CostCurve:
    width = config.hidden_size
    inner = getattr(config, "intermediate_size", None) or config.hidden_dim
    projections = 4 * width * width + 2 * width * inner
    return CostCurve(linear=2.0 * projections, quadratic=2.0 * 2 * width)


def _times(curve: CostCurve, count: int) -> CostCurve:
    return CostCurve(curve.constant * count, curve.linear * count, curve.quadratic * count)


def _multi_exit(network: MultiExitClassifier) -> tuple[CostCurve, ...]:
    config = network.encoder.config
    embedding = getattr(config, "embedding_size", None) or config.hidden_size
    spent = CostCurve()
    if embedding != config.hidden_size:
        spent = CostCurve(linear=2.0 * embedding * config.hidden_size)
    layer, curves, done = _layer(config) + _pooling(network), [], 0
    for depth in network.config.exits:
        mix = (depth + 1) * config.hidden_size
        dense = config.hidden_size * (config.hidden_size + network.config.labels)
        spent = spent + _times(layer, depth - done) + CostCurve(constant=2.0 * (mix + dense))
        curves.append(spent)
        done = depth
    return tuple(curves)


def _pooling(network: MultiExitClassifier) -> CostCurve:
    """Of one layer's states, where the pooling is learned; a mean is not counted."""
    if not network.pools:
        return CostCurve()
    config = network.encoder.config
    return CostCurve(linear=2.0 * config.hidden_size * (config.num_attention_heads + 1))


def _student(network: Student) -> CostCurve:
    sizes = network.config
    per_token = sizes.kernel * sizes.width * (sizes.embedding + sizes.width)
    per_token += 2 * sizes.width * sizes.pooling_heads
    per_text = sizes.width * (sizes.width * (sizes.pooling_heads + 1) + sizes.labels)
    return CostCurve(constant=2.0 * per_text, linear=2.0 * per_token)
