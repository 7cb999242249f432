"""Packed stages: what works token by token runs on the tokens of all rows, end to end.

A padded batch of texts of several lengths is a third to a half padding, and most of a stage
(projections, feed-forward parts, norms) looks at each token by itself. So the graph of a stage is
rewritten when it is read: tokens are brought end to end for all that, and side by side, in padded
rows, for what looks at several of them (attention, pooling). The numbers of a token are the same in
both; no weight, scale or shape of a result changes.

After "effective transformers" (ByteTransformer, arXiv 2210.03052).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openvino import opset13 as ops

from services.backends import shapes
from services.backends.exported import HIDDEN, NEXT_HIDDEN

# Inputs of a packed stage. PLACES (N,): where each packed token stands in the padded rows, counted
# through.  ORDER (B, T): which packed token stands at each place; any, where that is padding.
PLACES, ORDER = "places", "order"

# What changes each number by itself, and what looks along the last dimension only.
ELEMENTWISE = {"Add", "Subtract", "Multiply", "Divide", "Power", "SquaredDifference"} | {
    *("FakeQuantize", "Convert", "Gelu", "Erf", "Relu", "Sigmoid", "Swish", "Tanh", "Sqrt")
}
ALONG_LAST = {"MVN", "ReduceMean"}
# To bring a token from one form to the other costs about as much as so many sums of its numbers.
WORTH_PACKING = 64


@dataclass(frozen=True, slots=True)
class Packing:
    """How the tokens of some rows stand in both forms: the inputs PLACES and ORDER.

    tokens: of all rows together; behind them there may be others, that nobody reads.
    """

    tokens: int
    places: NDArray[np.int32]
    order: NDArray[np.int32]

    @classmethod
    def of(cls, lengths: NDArray[np.int64], shape: tuple[int, int]) -> Packing:
        """That of rows of such lengths (at most B) in padded ones of a shape (B, T)."""
        rows, width = shape
        tokens = int(lengths.sum())
        first = np.cumsum(lengths) - lengths
        along = np.arange(width)
        places = np.zeros(shapes.packed(tokens), dtype=np.int32)
        places[:tokens] = np.flatnonzero(along < lengths[:, None])
        order = np.zeros(shape, dtype=np.int32)
        np.minimum(first[:, None] + along, tokens - 1, out=order[: len(lengths)], casting="unsafe")
        return cls(tokens, places, order)


def pack(model: Any) -> None:
    """Rewrite the graph of a stage, whose weights are in it.

    HIDDEN and NEXT_HIDDEN are of packed tokens (1, N, H) then; PLACES and ORDER are inputs of a
    stage that needs them. A graph with nothing that is worth it stays as it is.
    """
    _Rewriting(model).run()


class _Rewriting:
    """One pass over a graph, inputs first. Whatever is not known to work token by token gets its
    inputs in padded rows, so that an operation nobody thought of costs time, never correctness.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._fixed: dict[str, bool] = {}
        self._are_packed: set[tuple[str, int]] = set()
        self._packed: dict[tuple[str, int], Any] = {}
        self._padded: dict[tuple[str, int], Any] = {}
        self._places = _parameter(PLACES, [-1])
        self._order = _parameter(ORDER, [-1, -1])

    def run(self) -> None:
        for node in self._model.get_ordered_ops():
            if node.get_type_name() == "Parameter":
                if HIDDEN in node.output(0).get_tensor().get_names():
                    self._are_packed.add(_key(node.output(0)))
            elif not self._is_fixed(node):
                self._rewrite(node)
        inputs = [self._places, self._order]
        self._model.add_parameters([p for p in inputs if p.output(0).get_target_inputs()])
        self._model.validate_nodes_and_infer_types()

    def _rewrite(self, node: Any) -> None:
        given = [i for i in node.inputs() if not self._is_fixed(i.get_source_output().get_node())]
        sources = [port.get_source_output() for port in given]
        packed = [_key(source) in self._are_packed for source in sources]
        wanted = self._wants_packed(node, sources) or (
            self._by_token(node) and self._all(packed, sources)
        )
        change = self._end_to_end if wanted else self._side_by_side
        for port, source, already in zip(given, sources, packed, strict=True):
            if already != wanted:
                port.replace_source_output(change(source))
        if wanted:
            self._are_packed.add(_key(node.output(0)))

    def _wants_packed(self, node: Any, sources: Sequence[Any]) -> bool:
        """Whether a node is to get packed tokens, though it could have padded rows."""
        if node.get_type_name() == "Result":
            return NEXT_HIDDEN in sources[0].get_tensor().get_names()
        return self._is_worth_it(node) and _is_padded(sources[0])

    def _all(self, packed: Sequence[bool], sources: Sequence[Any]) -> bool:
        """Whether some inputs are packed and the others can be."""
        others = (_is_padded(s) for s, already in zip(sources, packed, strict=True) if not already)
        return any(packed) and all(others)

    def _by_token(self, node: Any) -> bool:
        kind = node.get_type_name()
        if kind in ALONG_LAST:
            axes = node.input(1).get_source_output().get_node()
            along = axes.get_type_name() == "Constant" and axes.data.ravel().tolist() in ([-1], [2])
            return along and bool(node.get_attributes().get("keep_dims", True))
        return kind in ELEMENTWISE or self._is_dense(node)

    def _is_dense(self, node: Any) -> bool:
        """Whether it multiplies every token by the same matrix."""
        return (
            node.get_type_name() == "MatMul"
            and self._is_fixed(node.input(1).get_source_output().get_node())
            and node.input(1).get_partial_shape().rank.get_length() == 2
            and not node.get_attributes()["transpose_a"]
        )

    def _is_worth_it(self, node: Any) -> bool:
        """Whether tokens should be packed for a node, which is dense, or rounds what such read."""
        if node.get_type_name() == "FakeQuantize":
            readers = [port.get_node() for port in node.output(0).get_target_inputs()]
            return all(self._is_worth_it(reader) for reader in readers)
        if not self._is_dense(node):
            return False
        width = node.output(0).get_partial_shape()[-1]
        return bool(width.is_static and width.get_length() >= WORTH_PACKING)

    def _is_fixed(self, node: Any) -> bool:
        """Whether a node depends on constants alone."""
        name = node.get_name()
        if name not in self._fixed:
            sources = [port.get_source_output().get_node() for port in node.inputs()]
            self._fixed[name] = node.get_type_name() == "Constant" or (
                bool(sources) and all(self._is_fixed(source) for source in sources)
            )
        return self._fixed[name]

    def _end_to_end(self, rows: Any) -> Any:
        """Packed tokens (1, N, F) of padded rows (B, T, F)."""
        key = _key(rows)
        if key not in self._packed:
            width = rows.get_partial_shape()[2].get_length()
            tokens = ops.reshape(rows, np.array([-1, width]), special_zero=False)
            found = ops.unsqueeze(ops.gather(tokens, self._places, np.int64(0)), np.int64(0))
            self._packed[key] = found.output(0)
            self._are_packed.add(_key(found.output(0)))
        return self._packed[key]

    def _side_by_side(self, tokens: Any) -> Any:
        """Padded rows (B, T, F) of packed tokens (1, N, F)."""
        key = _key(tokens)
        if key not in self._padded:
            plain = ops.squeeze(tokens, np.array([0]))
            self._padded[key] = ops.gather(plain, self._order, np.int64(0)).output(0)
        return self._padded[key]


def _key(output: Any) -> tuple[str, int]:
    return output.get_node().get_name(), output.get_index()


def _is_padded(output: Any) -> bool:
    """Whether it has the form of padded rows (B, T, F): B and T of any size, F known."""
    shape = output.get_partial_shape()
    return bool(
        shape.rank.is_static
        and len(shape) == 3
        and [dimension.is_dynamic for dimension in shape] == [True, True, False]
    )


def _parameter(name: str, shape: list[int]) -> Any:
    found = ops.parameter(shape, np.int32)
    found.output(0).get_tensor().set_names({name})
    return found
