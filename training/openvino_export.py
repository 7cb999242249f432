"""A network's stages as files that OpenVINO runs, in fp32 or quantised to int8.

int8 is post-training quantisation by NNCF: ranges of activations from example texts, and bias
correction as NNCF has it for transformers. No labels are looked at. Its scales of weights are those
that the weights are stored with, so that a graph in int8 holds no large weights either. SmoothQuant
(arXiv 2211.10438), which models with outliers need, changes the weights: then a graph has its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import openvino
import torch
from numpy.typing import NDArray

from services.backends import exported as names
from services.backends.base import Encoded
from services.backends.exported import FORM, Reference, stage_file
from services.backends.tokenizing import TextEncoder
from services.models.files import Arrays
from services.models.staged import StagedNetwork
from training.openvino_graphs import FIRST_INPUTS, compiled, converted, quiet

Inputs: TypeAlias = dict[str, NDArray[Any]]

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
        run = compiled(smaller)
        found = run(reached)
        logits.append(found[names.LOGITS])
        if stage + 1 < len(models):
            # Later stages see what the stages before them give in int8.
            inputs = [_behind(run(batch), batch) for batch in inputs]
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
    with quiet():
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
