"""A network's stages as OpenVINO graphs in fp32, checked against PyTorch's."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import openvino
import torch
from openvino import opset13 as ops
from torch import Tensor, nn

from offramp.errors import BundleError
from services.backends import exported as names
from services.backends.rows import mask_of
from services.backends.tokenizing import TextEncoder
from services.models.multi_exit import MultiExitClassifier
from services.models.staged import RowStates, StagedNetwork

FIRST_INPUTS = (names.IDS, names.MASK, names.TYPES)
LATER_INPUTS = (names.HIDDEN, names.MASK, names.POOLED)

# Largest difference of a logit between a graph and PyTorch, in fp32.
TOLERANCE = 1e-3
# Rows and tokens that stages are traced with, and others that they are checked with.
TRACED, CHECKED = (3, 11), ((1, 3), (5, 24))


def converted(network: StagedNetwork, encoder: TextEncoder) -> list[Any]:
    """The stages as OpenVINO models, in fp32, checked against PyTorch's.

    Raises BundleError for a network that OpenVINO cannot run, or runs differently.
    """
    if isinstance(network, MultiExitClassifier) and network.config.keep:
        raise BundleError(
            "a tier that drops tokens between stages runs in PyTorch only; serve it in fp32 or bf16"
        )
    network = network.eval()
    try:
        with quiet(), torch.no_grad():
            models = [_convert(network, encoder, stage) for stage in range(network.stages)]
            for rows, tokens in CHECKED:
                _check(network, encoder, models, rows, tokens)
    except BundleError:
        raise
    except Exception as error:
        kind = type(network).__name__
        raise BundleError(
            f"OpenVINO cannot take over this {kind} ({error}); serve it in fp32 or bf16 by PyTorch"
        ) from error
    return models


class _Stage(nn.Module):
    """One stage as a function of tensors; the first embeds."""

    def __init__(self, network: StagedNetwork, stage: int) -> None:
        super().__init__()
        self.network = network
        self.stage = stage

    def forward(self, first: Tensor, mask: Tensor, second: Tensor | None = None) -> Any:
        """First: ids, and perhaps their types; later: hidden and pooled states."""
        if self.stage == 0:
            rows = self.network.embed(first, mask, second)
        else:
            assert second is not None
            rows = RowStates(first, mask, second)
        states, logits = self.network.run_stage(self.stage, rows)
        if self.stage + 1 == self.network.stages:
            return logits
        return states.hidden, states.pooled, logits


def _convert(network: StagedNetwork, encoder: TextEncoder, stage: int) -> Any:
    given = _example(network, encoder, stage, *TRACED)
    model = openvino.convert_model(_Stage(network, stage), example_input=given)
    inputs = LATER_INPUTS if stage else FIRST_INPUTS
    for port, name in zip(model.inputs, inputs[: len(given)], strict=True):
        port.get_tensor().set_names({name})
    outputs = (names.NEXT_HIDDEN, names.NEXT_POOLED, names.LOGITS)[-len(model.outputs) :]
    for port, name in zip(model.outputs, outputs, strict=True):
        port.get_tensor().set_names({name})
    _merge_heads_plainly(model)
    return model


def _merge_heads_plainly(model: Any) -> None:
    """Put constants for the shapes by which the states of all heads become one.

    Tracing leaves them to be computed from the states, in every layer of every batch.
    """
    for attention in model.get_ops():
        if attention.get_type_name() != "ScaledDotProductAttention":
            continue
        reshape = _reader(attention, "Reshape")
        transpose = _reader(reshape or attention, "Transpose")
        merge = transpose and _reader(transpose, "Reshape")
        shape = attention.output(0).get_partial_shape()
        if merge is None or shape[1].is_dynamic or shape[3].is_dynamic:
            continue
        transpose.input(0).replace_source_output(attention.output(0))
        width = shape[1].get_length() * shape[3].get_length()
        # 0: as many as there are.
        plain = ops.reshape(transpose, np.array([0, 0, width]), special_zero=True)
        names.instead_of(merge, plain)
    model.validate_nodes_and_infer_types()


def _reader(node: Any, kind: str) -> Any:
    """The operation of a kind that alone reads another's output; its shape others may read."""
    found = [reader.get_node() for reader in node.output(0).get_target_inputs()]
    found = [reader for reader in found if reader.get_type_name() != "ShapeOf"]
    return found[0] if [reader.get_type_name() for reader in found] == [kind] else None


def _example(
    network: StagedNetwork, encoder: TextEncoder, stage: int, rows: int, tokens: int
) -> tuple[Tensor, ...]:
    """Inputs of a stage: random rows of several lengths, the longest of so many tokens."""
    generator = torch.Generator().manual_seed(0)
    lengths = np.linspace(tokens, max(tokens // 2, 2), rows).astype(np.int64)
    mask = torch.from_numpy(mask_of(lengths))
    ids = torch.randint(encoder.vocabulary, mask.shape, generator=generator)
    ids = ids.masked_fill(mask == 0, encoder.form.pad_token_id)
    second = (torch.arange(mask.shape[1]) >= tokens // 2).to(ids.dtype).expand_as(ids)
    types = second.contiguous() if encoder.form.type_ids else None
    if stage == 0:
        return (ids, mask) if types is None else (ids, mask, types)
    states = network.embed(ids, mask, types)
    for done in range(stage):
        states, _ = network.run_stage(done, states)
    return states.hidden, mask, states.pooled


def _check(
    network: StagedNetwork, encoder: TextEncoder, models: Sequence[Any], rows: int, tokens: int
) -> None:
    """Raise BundleError unless the models give PyTorch's logits on rows of another shape."""
    for stage, model in enumerate(models):
        given = _example(network, encoder, stage, rows, tokens)
        wanted = _Stage(network, stage)(*given)
        if stage + 1 < network.stages:
            *_, wanted = wanted
        found = compiled(model)([tensor.numpy() for tensor in given])[names.LOGITS]
        off = float(np.abs(found - wanted.numpy()).max())
        if not off <= TOLERANCE:
            raise BundleError(
                f"stage {stage} of this {type(network).__name__} differs by {off:.2g} from "
                "PyTorch's once OpenVINO has taken it over; serve it in fp32 or bf16"
            )


def compiled(model: Any) -> Any:
    """A graph to run with arrays, computing in fp32 where it is not in int8."""
    return openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


@contextmanager
def quiet() -> Iterator[None]:
    """Tracing warns of every shape that it fixes; those that matter are found by `_check`."""
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
