"""Packed stages: what works token by token runs on the tokens of all rows, end to end.

A padded batch of texts of several lengths is a third to a half padding, and most of a stage
(projections, feed-forward parts, norms) looks at each token by itself. So the graph of a stage is
rewritten when it is read: tokens are brought end to end for all that, and side by side, in padded
rows, for what looks at several of them (attention, pooling). Convolutions look at a few neighbours:
they run end to end too (`products.py`), with as much padding between two rows as they reach. No
weight, scale or shape of a result changes, nor do a token's numbers, but for how convolutions sum.

After "effective transformers" (ByteTransformer, arXiv 2210.03052).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openvino import PartialShape
from openvino import opset13 as ops

from services.backends import graphs, products, shapes
from services.backends.exported import HIDDEN, MASK, NEXT_HIDDEN
from services.backends.graphs import Key

# Inputs of a packed stage. PLACES (N,): where each packed token stands in the padded rows, counted
# through.  ORDER (B, T): which packed token stands at each place; the row's last, where that is
# padding.
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
    def of(cls, lengths: NDArray[np.int64], shape: tuple[int, int], gap: int = 0) -> Packing:
        """That of rows of such lengths (at most B) in padded ones of a shape (B, T).

        gap: tokens of padding behind each row; T is as much longer than the longest.
        """
        width = lengths + gap
        tokens = int(width.sum())
        first = np.cumsum(width) - width
        along = np.arange(shape[1])
        # Behind the last row there is padding as well: the first one's, where rows have any.
        places = np.full(shapes.packed(tokens), lengths[0] if gap else 0, dtype=np.int32)
        places[:tokens] = np.flatnonzero(along < width[:, None])
        order = np.zeros(shape, dtype=np.int32)
        order[: len(lengths)] = first[:, None] + np.minimum(along, width[:, None] - 1)
        return cls(tokens, places, order)


def pack(model: Any) -> int:
    """Rewrite the graph of a stage, whose weights are in it.

    HIDDEN and NEXT_HIDDEN are of packed tokens (1, N, H) then; PLACES and ORDER are inputs of a
    stage that needs them. A graph with nothing that is worth it stays as it is.

    Returns the tokens of padding that are to stand between rows: where they do, a row that does not
    depend on padding is zero, or it would.
    """
    return _Rewriting(model).run()


class _Rewriting:
    """One pass over a graph, inputs first. Whatever is not known to work token by token gets its
    inputs in padded rows, so that an operation nobody thought of costs time, never correctness.

    Packed tokens are (1, N, F), however they stood in the padded rows: nothing has to turn them.

    One thing is taken for granted: what padding is made for a sum over tokens (zeros) is made right
    before it, with nothing between that is worth packing.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._standing = graphs.standing(model)
        self._gap = 0
        # Hidden states pass from stage to stage without padding between rows.
        ports = [port.get_tensor().get_names() for port in (*model.inputs, *model.outputs)]
        self._keeps_gaps = not any({HIDDEN, NEXT_HIDDEN} & names for names in ports)
        self._fixed: dict[str, bool] = {}
        self._knows_padding: set[str] = set()
        # What is packed, by the output of the graph as it was.
        self._packed: dict[Key, Any] = {}
        # What is brought from one form to the other.
        self._joined: dict[Key, Any] = {}
        self._parted: dict[Key, Any] = {}
        self._places = graphs.parameter(PLACES, [-1])
        self._order = graphs.parameter(ORDER, [-1, -1])

    def run(self) -> int:
        for node in self._model.get_ordered_ops():
            if node.get_type_name() == "Parameter":
                self._begin(node)
            elif not self._is_fixed(node):
                self._rewrite(node)
        inputs = [self._places, self._order]
        self._model.add_parameters([p for p in inputs if p.output(0).get_target_inputs()])
        self._model.validate_nodes_and_infer_types()
        return self._gap

    def _begin(self, parameter: Any) -> None:
        names = parameter.output(0).get_tensor().get_names()
        if HIDDEN in names:
            self._packed[graphs.key(parameter.output(0))] = parameter.output(0)
            parameter.set_partial_shape(PartialShape([1, *list(parameter.get_partial_shape())[1:]]))
        if MASK in names:
            self._knows_padding.add(parameter.get_name())

    def _rewrite(self, node: Any) -> None:
        """Let a node read packed tokens, or padded rows, and note which it gives."""
        ports = [i for i in node.inputs() if not self._is_fixed(i.get_source_output().get_node())]
        sources = [port.get_source_output() for port in ports]
        if any(source.get_node().get_name() in self._knows_padding for source in sources):
            self._knows_padding.add(node.get_name())
        along = self._read_along(node, sources)
        if along is not None:
            tokens = [self._end_to_end(source) for source in sources]
            self._packed[graphs.key(node.output(0))] = self._on_packed(node, ports, tokens, along)
            self._gap = max(self._gap, graphs.reach(node))
            return
        for port, source in zip(ports, sources, strict=True):
            if graphs.key(source) in self._packed:
                port.replace_source_output(self._side_by_side(source))

    def _on_packed(self, node: Any, ports: Sequence[Any], tokens: Sequence[Any], along: int) -> Any:
        """What a node gives of packed tokens, which in its padded rows stood along a dimension."""
        kind = node.get_type_name()
        if kind == "Transpose":
            return tokens[0]
        if kind == "MatMul":
            turned = bool(node.get_attributes()["transpose_b"])
            weights = node.input(1).get_source_output()
            return ops.matmul(tokens[0], weights, False, turned).output(0)
        if kind == "Convolution":
            return products.of_convolution(node, tokens[0])
        for port, source in zip(ports, tokens, strict=True):
            port.replace_source_output(source)
        if along == 2:
            for port in node.inputs():
                if self._is_fixed(port.get_source_output().get_node()):
                    graphs.turn_fixed(port)
        node.validate_and_infer_types()
        return node.output(0)

    def _read_along(self, node: Any, sources: Sequence[Any]) -> int | None:
        """Along which dimension a node is to read packed tokens; None: it reads padded rows."""
        if node.get_type_name() == "Result":
            return 1 if NEXT_HIDDEN in sources[0].get_tensor().get_names() else None
        packed = {graphs.key(source) for source in sources} & self._packed.keys()
        known = {self._standing[key] for key in packed}
        for along in known or {1, 2}:
            missing = [source for source in sources if graphs.key(source) not in packed]
            if (
                len(known) <= 1
                and self._works_along(node, along)
                and all(self._may_be_packed(source, along) for source in missing)
                and (self._may_join(node, missing) if known else self._is_worth_it(node))
            ):
                return along
        return None

    def _may_join(self, node: Any, rows: Sequence[Any]) -> bool:
        """Whether padded rows may be packed to meet packed tokens in a node.

        Not where their padding says something, such as zeros of what is summed up later: packed it
        is lost. What a convolution reads has padding between its rows, which keeps it.
        """
        told = any(source.get_node().get_name() in self._knows_padding for source in rows)
        return not told or self._has_gaps(node)

    def _has_gaps(self, node: Any) -> bool:
        """Whether a convolution reads end to end what a node gives, perhaps rounded or turned."""
        return any(
            (graphs.reach(reader) > 0 and self._works_along(reader, 2))
            or (graphs.hands_on(reader) and self._has_gaps(reader))
            for reader in graphs.readers(node)
        )

    def _may_be_packed(self, rows: Any, along: int) -> bool:
        """Whether it has the form of padded rows, (B, T, F) or (B, F, T), with F known."""
        stands = self._standing.get(graphs.key(rows)) == along
        return stands and bool(rows.get_partial_shape()[3 - along].is_static)

    def _works_along(self, node: Any, along: int) -> bool:
        """Whether a node works token by token, or nearly so, on tokens along a dimension."""
        if self._standing.get(graphs.key(node.output(0))) != (
            3 - along if graphs.turns(node) else along
        ):
            return False  # it gives more of them or fewer, or something else
        kind = node.get_type_name()
        if kind in ALONG_LAST:
            axes = node.input(1).get_source_output().get_node()
            last = axes.get_type_name() == "Constant" and axes.data.ravel().tolist() in ([-1], [2])
            return along == 1 and last and bool(node.get_attributes().get("keep_dims", True))
        if kind == "MatMul":
            turned = bool(node.get_attributes()["transpose_a"])
            return self._multiplies_by_fixed(node, rank=2) and along == 1 + turned
        if kind == "Convolution":
            fits = graphs.reach(node) == 0 or (graphs.reach(node) > 0 and self._keeps_gaps)
            return self._multiplies_by_fixed(node, rank=3) and along == 2 and fits
        return kind in ELEMENTWISE or (kind == "Transpose" and graphs.turns(node))

    def _multiplies_by_fixed(self, node: Any, rank: int) -> bool:
        weights = node.input(1)
        fixed = self._is_fixed(weights.get_source_output().get_node())
        return fixed and weights.get_partial_shape().rank.get_length() == rank

    def _is_worth_it(self, node: Any) -> bool:
        """Whether padded rows should be packed for a node: one that makes much of each token, or
        leads to such alone.
        """
        if graphs.hands_on(node) or (node.get_type_name() in ELEMENTWISE and self._has_gaps(node)):
            return all(self._is_worth_it(reader) for reader in graphs.readers(node))
        found = node.output(0).get_partial_shape()
        if node.get_type_name() == "MatMul" and self._works_along(node, 1 + graphs.turns(node)):
            width = found[2]
        elif node.get_type_name() == "Convolution" and self._works_along(node, 2):
            width = found[1]
        else:
            return False
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
        """Packed tokens (1, N, F) of padded rows (B, T, F) or (B, F, T), if they are not yet."""
        key = graphs.key(rows)
        if key in self._packed:
            return self._packed[key]
        if key not in self._joined:
            along = self._standing[key]
            width = rows.get_partial_shape()[3 - along].get_length()
            upright = graphs.turned(rows) if along == 2 else rows
            tokens = ops.reshape(upright, np.array([-1, width]), special_zero=False)
            found = ops.unsqueeze(ops.gather(tokens, self._places, np.int64(0)), np.int64(0))
            self._joined[key] = found.output(0)
        return self._joined[key]

    def _side_by_side(self, rows: Any) -> Any:
        """Padded rows (B, T, F) or (B, F, T), as they stood, of what is packed tokens now."""
        key = graphs.key(rows)
        if key not in self._parted:
            tokens = ops.squeeze(self._packed[key], np.array([0]))
            found = ops.gather(tokens, self._order, np.int64(0))
            turned = graphs.turned(found) if self._standing[key] == 2 else found
            self._parted[key] = turned.output(0)
        return self._parted[key]
