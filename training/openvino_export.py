"""A network's stages taken over by OpenVINO, checked, in fp32 or quantised to int8.

int8 is post-training quantisation by NNCF: ranges of activations from example texts, and bias
correction as NNCF has it for transformers. No labels are looked at. Its scales of weights are those
that the weights are stored with, so that a graph in int8 holds no large weights either. SmoothQuant
(arXiv 2211.10438), which models with outliers need, changes the weights: then a graph has its own.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from openvino import opset13 as ops
from torch import Tensor, nn

from offramp.errors import BundleError
from services.backends import exported as names
from services.backends.base import Encoded
from services.backends.exported import FORM, Reference, stage_file
from services.backends.rows import mask_of
from services.backends.tokenizing import TextEncoder
from services.models.files import Arrays
from services.models.multi_exit import MultiExitClassifier
from services.models.staged import RowStates, StagedNetwork

Inputs: TypeAlias = dict[str, NDArray[Any]]

FIRST_INPUTS = (names.IDS, names.MASK, names.TYPES)
LATER_INPUTS = (names.HIDDEN, names.MASK, names.POOLED)

# Largest difference of a logit between an exported stage and PyTorch's, in fp32.
TOLERANCE = 1e-3
# Rows and tokens that stages are traced with, and others that they are checked with.
TRACED, CHECKED = (3, 11), ((1, 3), (5, 24))
# Tokens of the rows that every machine is to compute alike.
REFERENCE_TOKENS = (4, 9, 16)
# Example texts that ranges of activations are taken from at a time.
BATCH = 10


def export_fp32(
    network: StagedNetwork,
    encoder: TextEncoder,
    folder: Path,
    advance: Callable[[], None] = lambda: None,
) -> None:
    """Write the stages, less the weights that the network's own file holds.

    Raises BundleError as `converted` does.  advance: called when a stage is done.
    """
    weights = _weights(network)
    models = converted(network, encoder)
    folder.mkdir(parents=True)
    for stage, model in enumerate(models):
        _save(model, weights, stage_file(folder, stage))
        advance()
    rows = _reference_rows(encoder)
    with torch.no_grad():
        logits = network.eval()(*(torch.from_numpy(a) for a in _batch(rows, encoder).values()))
    _finish(folder, encoder, Reference(rows, logits.numpy()))


def export_int8(
    network: StagedNetwork,
    encoder: TextEncoder,
    folder: Path,
    examples: Sequence[Encoded],
    *,
    integers: Arrays,
    smooth: bool = False,
    advance: Callable[[], None] = lambda: None,
) -> None:
    """Write the stages quantised to int8, less the weights that the network's own file holds.

    Raises BundleError as `converted` does.

    examples: tokenised texts like those to come; some hundreds do.
    integers: of that file, by the names that the graphs are to read them by.
    smooth: with SmoothQuant.  advance: called when a stage is done.
    """
    weights = _weights(network) | integers
    models = converted(network, encoder)
    inputs = _batches(examples, encoder)
    rows, logits = _reference_rows(encoder), []
    reached = _batch(rows, encoder)
    folder.mkdir(parents=True)
    for stage, model in enumerate(models):
        smaller = quantised(model, inputs, smooth=smooth)
        compiled = _compiled(smaller)
        found = compiled(reached)
        logits.append(found[names.LOGITS])
        if stage + 1 < len(models):
            # Later stages see what the stages before them give in int8.
            inputs = [_behind(compiled(batch), batch) for batch in inputs]
            reached = _behind(found, reached)
        _save(smaller, weights, stage_file(folder, stage))
        advance()
    _finish(folder, encoder, Reference(rows, np.stack(logits)))


def quantised(model: Any, inputs: Sequence[Any], *, smooth: bool) -> Any:
    """An OpenVINO model in int8; ranges of activations are taken from the batches of `inputs`.

    To look up an embedding is no arithmetic, which int8 could make faster.
    """
    import nncf

    off = nncf.AdvancedSmoothQuantParameters(matmul=-1, convolution=-1)
    alpha = nncf.AdvancedSmoothQuantParameters() if smooth else off
    with _quiet():
        return nncf.quantize(
            model,
            nncf.Dataset(inputs),
            subset_size=len(inputs),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(types=["Gather"], validate=False),
            advanced_parameters=nncf.AdvancedQuantizationParameters(smooth_quant_alphas=alpha),
        )


def _weights(network: StagedNetwork) -> Arrays:
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def _save(model: Any, weights: Arrays, file: Path) -> None:
    """Write a graph, less the constants that are among the weights."""
    names.without_weights(model, weights)
    openvino.save_model(model, file, compress_to_fp16=False)


def _reference_rows(encoder: TextEncoder) -> tuple[Encoded, ...]:
    """Random tokens in rows of several lengths."""
    rng = np.random.default_rng(0)
    rows = []
    for tokens in REFERENCE_TOKENS:
        ids = rng.integers(encoder.vocabulary, size=tokens).tolist()
        types = [0] * (tokens // 2) + [1] * (tokens - tokens // 2)
        rows.append(Encoded(ids, types if encoder.form.type_ids else None, False))
    return tuple(rows)


def _finish(folder: Path, encoder: TextEncoder, reference: Reference) -> None:
    reference.save(folder)
    encoder.write_form(folder / FORM)


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
        with _quiet(), torch.no_grad():
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
        found = _compiled(model)([tensor.numpy() for tensor in given])[names.LOGITS]
        off = float(np.abs(found - wanted.numpy()).max())
        if not off <= TOLERANCE:
            raise BundleError(
                f"stage {stage} of this {type(network).__name__} differs by {off:.2g} from "
                "PyTorch's once OpenVINO has taken it over; serve it in fp32 or bf16"
            )


def _compiled(model: Any) -> Any:
    return openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def _batches(examples: Sequence[Encoded], encoder: TextEncoder) -> list[Inputs]:
    return [
        _batch(examples[start : start + BATCH], encoder) for start in range(0, len(examples), BATCH)
    ]


def _batch(rows: Sequence[Encoded], encoder: TextEncoder) -> Inputs:
    """Inputs of the first stage."""
    given = encoder.batch(rows).inputs
    return dict(zip(FIRST_INPUTS[: len(given)], given, strict=True))


def _behind(output: Any, batch: Inputs) -> Inputs:
    """What the next stage reads, from what a stage gave for a batch."""
    return {
        names.HIDDEN: output[names.NEXT_HIDDEN],
        names.MASK: batch[names.MASK],
        names.POOLED: output[names.NEXT_POOLED],
    }


@contextmanager
def _quiet() -> Iterator[None]:
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
