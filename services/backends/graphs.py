"""How an OpenVINO graph is read: where tokens stand in it, and what operations do with them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from openvino import PartialShape
from openvino import opset13 as ops

from services.backends.exported import HIDDEN, IDS, MASK, TYPES

# An output of an operation: the operation's name, and which of its outputs.
Key: TypeAlias = tuple[str, int]

# What gives the numbers that it reads in another type or form.
RESHAPING = {"Convert", "Unsqueeze", "Squeeze", "Reshape", "Transpose"}

# What shapes are inferred for, to tell tokens from other things of which there are any number.
ROWS, TOKENS = 5, 23


def key(output: Any) -> Key:
    """What an output is known by."""
    return output.get_node().get_name(), output.get_index()


def standing(model: Any) -> dict[Key, int]:
    """Along which dimension tokens stand, 1 or 2, in every output of the form of padded rows:
    (B, T), (B, T, F) or (B, F, T).
    """
    given = [(parameter, parameter.get_partial_shape()) for parameter in model.get_parameters()]
    for parameter, shape in given:
        if parameter.output(0).get_tensor().get_names() & {IDS, MASK, TYPES, HIDDEN}:
            parameter.set_partial_shape(PartialShape([ROWS, TOKENS, *list(shape)[2:]]))
    model.validate_nodes_and_infer_types()
    outputs = [output for node in model.get_ops() for output in node.outputs()]
    inferred = [output.get_partial_shape() for output in outputs]
    for parameter, shape in given:
        parameter.set_partial_shape(shape)
    model.validate_nodes_and_infer_types()
    return {
        key(output): along
        for output, shape in zip(outputs, inferred, strict=True)
        for along in (1, 2)
        if shape.rank in (2, 3)
        and len(shape) > along
        and shape[0] == ROWS
        and shape[along] == TOKENS
        # Numbers that are the same whatever the batch happen to be these.
        and output.get_partial_shape()[along].is_dynamic
    }


def turns(node: Any) -> bool:
    """Whether tokens stand along the other dimension behind a node."""
    if node.get_type_name() == "MatMul":
        return bool(node.get_attributes()["transpose_a"])
    if node.get_type_name() != "Transpose":
        return False
    order = node.input(1).get_source_output().get_node()
    return bool(order.get_type_name() == "Constant" and order.data.tolist() == [0, 2, 1])


def hands_on(node: Any) -> bool:
    """Whether a node only rounds or turns tokens for others."""
    return node.get_type_name() == "FakeQuantize" or (
        node.get_type_name() == "Transpose" and turns(node)
    )


def readers(node: Any) -> list[Any]:
    """The operations that read what a node gives."""
    return [port.get_node() for port in node.output(0).get_target_inputs()]


def turned(output: Any) -> Any:
    """An output with its tokens along the other dimension."""
    return ops.transpose(output, np.array([0, 2, 1]))


def upright(fixed: Any) -> Any:
    """What does not depend on tokens, for ones that stood along the last dimension and now stand
    along the one before.
    """
    rank = fixed.get_partial_shape().rank.get_length()
    if rank == 2:
        fixed = ops.unsqueeze(fixed, np.int64(0))
    return turned(fixed).output(0) if rank >= 2 else fixed


def copies(model: Any, name: str) -> set[Key]:
    """The outputs that are an input of the graph in another type or form."""
    found: set[Key] = set()
    for node in model.get_ordered_ops():
        kind = node.get_type_name()
        if kind == "Parameter" and name in node.output(0).get_tensor().get_names():
            found.add(key(node.output(0)))
        if kind in RESHAPING and key(node.input_value(0)) in found:
            found.add(key(node.output(0)))
    return found


def reach(node: Any) -> int:
    """How far a convolution looks to each side, where it gives as many tokens as it reads; -1 for
    one that looks to one side, or leaves tokens out. 0 for any other node.
    """
    if node.get_type_name() != "Convolution":
        return 0
    given = node.get_attributes()
    before, behind = list(given["pads_begin"]), list(given["pads_end"])
    plain = list(given["strides"]) == [1]
    return before[0] if plain and before == behind else -1


def parameter(name: str, shape: list[int]) -> Any:
    """An input of integers; -1 in its shape stands for any number."""
    found = ops.parameter(shape, np.int32)
    found.output(0).get_tensor().set_names({name})
    return found
