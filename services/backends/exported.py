"""A tier's stages as OpenVINO reads them: a folder with a graph per stage, and what it is held to.

The graphs hold no large weights that the tier's own weights file has: those are inputs, by name,
and are put in when the graphs are read. So a bundle keeps its weights once, and what OpenVINO
computes with in fp32 is what PyTorch would; in int8 it is the integers of that file.

Beside the graphs: the form of the inputs, and a reference, rows of tokens with the logits that
every exit must give for them, so that a machine that computes something else is found before it
serves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openvino import opset13 as ops
from safetensors.numpy import load_file, save

from services.backends.base import Encoded
from services.models.files import Arrays

FORM = "inputs.json"
REFERENCE = "reference.safetensors"

# Names of a stage's inputs and outputs. The first stage reads ids, the others hidden and pooled.
IDS, MASK, TYPES = "token_ids", "attention_mask", "type_ids"
HIDDEN, POOLED = "hidden", "pooled"
NEXT_HIDDEN, NEXT_POOLED, LOGITS = "next_hidden", "next_pooled", "logits"
OWN_INPUTS = {IDS, MASK, TYPES, HIDDEN, POOLED}

# Constants of fewer numbers stay in the graph.
LEAST = 4096


@dataclass(frozen=True, slots=True)
class Reference:
    """Rows of tokens, and the logits (E, B, C) that they give."""

    rows: tuple[Encoded, ...]
    logits: NDArray[np.float32]

    def save(self, folder: Path) -> None:
        """Write it beside the graphs."""
        lengths = np.array([row.tokens for row in self.rows])
        stored = {
            "lengths": lengths,
            IDS: np.concatenate([row.token_ids for row in self.rows]),
            LOGITS: self.logits,
        }
        if self.rows[0].type_ids is not None:
            stored[TYPES] = np.concatenate([row.type_ids or () for row in self.rows])
        (folder / REFERENCE).write_bytes(save(stored))  # `save_file` hides it from other users

    @classmethod
    def read(cls, folder: Path) -> Reference:
        """Read what `save` wrote."""
        stored: Arrays = load_file(folder / REFERENCE)
        borders = np.cumsum(stored["lengths"])[:-1]
        ids = np.split(stored[IDS], borders)
        types = np.split(stored[TYPES], borders) if TYPES in stored else [None] * len(ids)
        rows = tuple(
            Encoded(own.tolist(), None if kinds is None else kinds.tolist(), False)
            for own, kinds in zip(ids, types, strict=True)
        )
        return cls(rows, stored[LOGITS])


def stage_file(folder: Path, stage: int) -> Path:
    """Where a stage is."""
    return folder / f"stage{stage}.xml"


def without_weights(model: Any, weights: Arrays) -> None:
    """Turn the large constants of a graph that are among the weights into inputs, by name."""
    inputs: dict[str, Any] = {}
    for constant in [op for op in model.get_ops() if op.get_type_name() == "Constant"]:
        array = constant.data
        if array.size < LEAST:
            continue
        # Weights of the same numbers go by the name of the first of them.
        name = next((n for n, known in weights.items() if _same(known, array)), None)
        if name is not None:
            if name not in inputs:
                inputs[name] = parameter = ops.parameter(array.shape, array.dtype)
                parameter.output(0).get_tensor().set_names({name})
            instead_of(constant, inputs[name])
    model.add_parameters(list(inputs.values()))
    model.validate_nodes_and_infer_types()


def with_weights(model: Any, weights: Arrays) -> Arrays:
    """Put weights in where `without_weights` left inputs. Raises KeyError for one that is missing.

    Returns those that were put in: the graph goes on reading the arrays, which must outlive it.
    """
    used = {}
    for parameter in model.get_parameters():
        name = parameter.output(0).get_tensor().get_any_name()
        if name not in OWN_INPUTS:
            used[name] = weights[name]
            constant = ops.constant(used[name], shared_memory=True)
            instead_of(parameter, constant)
            model.remove_parameter(parameter)
    model.validate_nodes_and_infer_types()
    return used


def instead_of(node: Any, other: Any) -> None:
    """Let everything that reads one operation's output read another's."""
    readers: Iterable[Any] = node.output(0).get_target_inputs()
    for reader in readers:
        reader.replace_source_output(other.output(0))


def _same(known: NDArray[Any], array: NDArray[Any]) -> bool:
    alike = known.shape == array.shape and known.dtype == array.dtype
    return alike and np.array_equal(known, array)
