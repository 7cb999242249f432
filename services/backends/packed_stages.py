"""Packed stages: what works token by token runs on the tokens of all rows, end to end.

A padded batch of texts of several lengths is a third to a half padding, and most of a stage
(projections, feed-forward parts, norms) looks at each token by itself. So the graph of a stage is
rewritten when it is read: tokens are brought end to end for all that, and side by side, in padded
rows, for what looks at several of them (attention, pooling). Convolutions look at a few neighbours,
which are looked up for each token (`products.py`). No weight, scale or shape of a result changes,
nor do a token's numbers, but for the order in which a convolution sums.

After "effective transformers" (ByteTransformer, arXiv 2210.03052).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from openvino import PartialShape
from openvino import opset13 as ops

from services.backends import graphs, products
from services.backends.exported import HIDDEN, MASK, NEXT_HIDDEN
from services.backends.graphs import Key
from services.backends.packing import NEIGHBOURS, ORDER, PLACES

# What changes each number by itself, and what looks along the last dimension only.
SUMS = {"Add", "Subtract"}
ELEMENTWISE = {*SUMS, "Multiply", "Divide", "Power", "SquaredDifference"} | {
    *("FakeQuantize", "Convert", "Gelu", "Erf", "Relu", "Sigmoid", "Swish", "Tanh", "Sqrt")
}
ALONG_LAST = {"MVN", "ReduceMean"}
# To bring a token from one form to the other costs about as much as so many sums of its numbers.
WORTH_PACKING = 64


def pack(model: Any) -> int:
    """Rewrite the graph of a stage, whose weights are in it.

    HIDDEN and NEXT_HIDDEN are of packed tokens (1, N, H) then; PLACES, ORDER and NEIGHBOURS are
    inputs of a stage that needs them. A graph with nothing that is worth it stays as it is.

    Returns how far a token's NEIGHBOURS are to reach.
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
        self._masks = graphs.copies(model, MASK)
        self._fixed: dict[str, bool] = {}
        self._knows_padding: set[str] = set()
        # Packed tokens, by the output that gave them as padded rows.
        self._packed: dict[Key, Any] = {}
        # Which of them are zero where they are padding. Those are there as padded rows, too.
        self._masked: set[Key] = set()
        # What was brought from one form to the other.
        self._joined: dict[Key, Any] = {}
        self._parted: dict[Key, Any] = {}
        self._reach = max(
            (graphs.reach(n) for n in model.get_ops() if self._convolves(n)), default=0
        )
        self._places = graphs.parameter(PLACES, [-1])
        self._order = graphs.parameter(ORDER, [-1, -1])
        self._neighbours = graphs.parameter(NEIGHBOURS, [-1, 2 * self._reach + 1])

    def run(self) -> int:
        for node in self._model.get_ordered_ops():
            if node.get_type_name() == "Parameter":
                self._begin(node)
            elif node.get_type_name() == "Result":
                self._end(node)
            elif not self._is_fixed(node):
                self._rewrite(node)
        inputs = [self._places, self._order, self._neighbours]
        self._model.add_parameters([p for p in inputs if p.output(0).get_target_inputs()])
        self._model.validate_nodes_and_infer_types()
        return self._reach

    def _begin(self, parameter: Any) -> None:
        names = parameter.output(0).get_tensor().get_names()
        if HIDDEN in names:
            self._packed[graphs.key(parameter.output(0))] = parameter.output(0)
            parameter.set_partial_shape(PartialShape([1, *list(parameter.get_partial_shape())[1:]]))
        if MASK in names:
            self._knows_padding.add(parameter.get_name())

    def _end(self, result: Any) -> None:
        """Hidden states leave a stage packed, all else in padded rows."""
        found = result.input_value(0)
        names = found.get_tensor().get_names()
        found.get_tensor().set_names(set())
        if NEXT_HIDDEN in names:
            found = self._end_to_end(found)
        elif self._is_packed_alone(found):
            found = self._side_by_side(found)
        found.get_tensor().add_names(names)
        result.input(0).replace_source_output(found)

    def _rewrite(self, node: Any) -> None:
        """Let a node read packed tokens, or padded rows, and note which it gives."""
        ports = [i for i in node.inputs() if not self._is_fixed(i.get_source_output().get_node())]
        sources = [port.get_source_output() for port in ports]
        if any(source.get_node().get_name() in self._knows_padding for source in sources):
            self._knows_padding.add(node.get_name())
        given = graphs.key(node.output(0))
        along = self._read_along(node, sources)
        if along is not None:
            self._packed[given] = self._of_packed(node, ports, sources, along)
            return
        if self._is_masked(node, sources) and self._is_convolved(node):
            self._masked.add(given)
            self._packed[given] = self._of_masked(node, sources)
        for port, source in zip(ports, sources, strict=True):
            if self._is_packed_alone(source):
                port.replace_source_output(self._side_by_side(source))

    def _of_packed(
        self, node: Any, ports: Sequence[Any], sources: Sequence[Any], along: int
    ) -> Any:
        """What a node gives of packed tokens, which in padded rows stood along a dimension."""
        tokens = [self._end_to_end(source) for source in sources]
        kind = node.get_type_name()
        if kind == "Transpose":
            return tokens[0]
        if kind == "MatMul":
            turned = bool(node.get_attributes()["transpose_b"])
            return ops.matmul(tokens[0], node.input_value(1), False, turned).output(0)
        if kind == "Convolution":
            return products.of_convolution(node, tokens[0], self._neighbours)
        for port, source in zip(ports, tokens, strict=True):
            port.replace_source_output(source)
        if along == 2:
            for port in node.inputs():
                if self._is_fixed(port.get_source_output().get_node()):
                    port.replace_source_output(graphs.upright(port.get_source_output()))
        node.validate_and_infer_types()
        return node.output(0)

    def _is_masked(self, node: Any, sources: Sequence[Any]) -> bool:
        """Whether a node makes padding zero and changes nothing else, or rounds or turns such."""
        if graphs.hands_on(node):
            return graphs.key(sources[0]) in self._masked
        rows = [source for source in sources if graphs.key(source) not in self._masks]
        if node.get_type_name() != "Multiply" or len(rows) != 1 or len(sources) != 2:
            return False
        along = self._standing.get(graphs.key(node.output(0)))
        stand = {self._standing.get(graphs.key(source)) for source in sources}
        known = graphs.key(rows[0]) in self._packed
        return (
            along is not None
            and stand == {along}
            and (known or self._may_be_packed(rows[0], along))
        )

    def _of_masked(self, node: Any, sources: Sequence[Any]) -> Any:
        """Packed tokens of a node that makes padding zero, or rounds or turns such rows."""
        (rows,) = [source for source in sources if graphs.key(source) not in self._masks]
        tokens = self._end_to_end(rows)
        if node.get_type_name() != "FakeQuantize":
            return tokens
        limits = [port.get_source_output() for port in node.inputs()[1:]]
        if self._standing[graphs.key(rows)] == 2:
            limits = [graphs.upright(limit) for limit in limits]
        return ops.fake_quantize(tokens, *limits, node.get_attributes()["levels"]).output(0)

    def _read_along(self, node: Any, sources: Sequence[Any]) -> int | None:
        """Along which dimension packed tokens would stand that a node is to read; None: it reads
        padded rows.
        """
        packed = [source for source in sources if self._is_packed_alone(source)]
        known = {self._standing[graphs.key(source)] for source in packed}
        for along in known or {1, 2}:
            missing = [source for source in sources if not self._is_packed_alone(source)]
            if (
                len(known) <= 1
                and self._works_along(node, along)
                and all(self._may_be_packed(source, along) for source in missing)
                and (self._may_join(node, missing) if known else self._is_worth_it(node))
            ):
                return along
        return None

    def _is_packed_alone(self, rows: Any) -> bool:
        return graphs.key(rows) in self._packed and graphs.key(rows) not in self._masked

    def _may_join(self, node: Any, rows: Sequence[Any]) -> bool:
        """Whether padded rows may be packed to meet packed tokens in a node.

        Not where their padding says something, such as zeros of what is summed up later: packed it
        is lost. Zeros say nothing any more when something is added.
        """
        return all(
            source.get_node().get_name() not in self._knows_padding
            or (graphs.key(source) in self._masked and node.get_type_name() in SUMS)
            for source in rows
        )

    def _is_convolved(self, node: Any) -> bool:
        """Whether a convolution reads end to end what a node gives, perhaps rounded or turned."""
        return any(
            (self._convolves(reader) and self._is_worth_it(reader))
            or (graphs.hands_on(reader) and self._is_convolved(reader))
            for reader in graphs.readers(node)
        )

    def _convolves(self, node: Any) -> bool:
        """Whether a node is a convolution that can be done on packed tokens."""
        return node.get_type_name() == "Convolution" and self._works_along(node, 2)

    def _may_be_packed(self, rows: Any, along: int) -> bool:
        """Whether it has the form of padded rows, (B, T), (B, T, F) or (B, F, T), with F known."""
        shape = rows.get_partial_shape()
        stands = self._standing.get(graphs.key(rows)) == along
        return stands and (shape.rank == 2 or bool(shape[3 - along].is_static))

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
            return (
                self._multiplies_by_fixed(node, rank=3) and along == 2 and graphs.reach(node) >= 0
            )
        return (
            kind in ELEMENTWISE
            or (kind == "Transpose" and graphs.turns(node))
            or self._looks_up(node)
        )

    def _multiplies_by_fixed(self, node: Any, rank: int) -> bool:
        weights = node.input(1)
        fixed = self._is_fixed(weights.get_source_output().get_node())
        return fixed and weights.get_partial_shape().rank.get_length() == rank

    def _looks_up(self, node: Any) -> bool:
        """Whether a node looks up each token's row in a table."""
        if node.get_type_name() != "Gather":
            return False
        table, ids, axis = (port.get_source_output() for port in node.inputs())
        rows = table.get_partial_shape().rank == 2 and ids.get_partial_shape().rank == 2
        first = axis.get_node().get_type_name() == "Constant" and int(axis.get_node().data) == 0
        return bool(rows and first) and self._is_fixed(table.get_node())

    def _is_worth_it(self, node: Any) -> bool:
        """Whether padded rows should be packed for a node: one that makes much of each token, or
        leads to such alone.
        """
        kind = node.get_type_name()
        found = node.output(0).get_partial_shape()
        if kind == "MatMul" and self._works_along(node, 1 + graphs.turns(node)):
            width = found[2]
        elif self._convolves(node):
            width = found[1]
        else:
            # What is added to zeros of padding, say, may be wanted as it is there.
            free = node.get_name() not in self._knows_padding
            leads = graphs.hands_on(node) or (free and (kind in SUMS or self._looks_up(node)))
            return (leads or self._is_masked(node, node.input_values())) and all(
                self._is_worth_it(reader) for reader in graphs.readers(node)
            )
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
        """Packed tokens (1, N, F) of padded rows (B, T, F) or (B, F, T), or (1, N) of (B, T)."""
        key = graphs.key(rows)
        if key in self._packed:
            return self._packed[key]
        if key not in self._joined:
            node = rows.get_node()
            if node.get_type_name() == "Transpose" and graphs.turns(node):
                self._joined[key] = self._end_to_end(node.input_value(0))
            else:
                self._joined[key] = self._gathered(rows).output(0)
        return self._joined[key]

    def _gathered(self, rows: Any) -> Any:
        shape = rows.get_partial_shape()
        if shape.rank == 2:
            tokens = ops.reshape(rows, np.array([-1]), special_zero=False)
        else:
            along = self._standing[graphs.key(rows)]
            upright = graphs.turned(rows) if along == 2 else rows
            width = shape[3 - along].get_length()
            tokens = ops.reshape(upright, np.array([-1, width]), special_zero=False)
        return ops.unsqueeze(ops.gather(tokens, self._places, np.int64(0)), np.int64(0))

    def _side_by_side(self, rows: Any) -> Any:
        """Padded rows (B, T, F) or (B, F, T), as they stood, of what is packed tokens now."""
        key = graphs.key(rows)
        if key not in self._parted:
            tokens = ops.squeeze(self._packed[key], np.array([0]))
            found = ops.gather(tokens, self._order, np.int64(0))
            turned = graphs.turned(found) if self._standing[key] == 2 else found
            self._parted[key] = turned.output(0)
        return self._parted[key]
