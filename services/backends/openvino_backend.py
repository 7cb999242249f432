"""Stages run by OpenVINO on the CPU, in fp32, bf16 or int8, from an exported folder.

In bf16 fp32's graphs and weights run, for processors that have instructions for it. In int8 sums of
integers do not round, so a row's result hardly ever depends on what runs beside it: only where what
stays in fp32 (attention, norms) rounds otherwise in another shape, right at a step of an integer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import openvino
from numpy.typing import NDArray

from offramp.errors import BundleError
from services.backends import exported, packed_stages, shapes
from services.backends.base import Backend, Encoded, Text
from services.backends.exported import (
    HIDDEN,
    IDS,
    LOGITS,
    MASK,
    NEXT_HIDDEN,
    NEXT_POOLED,
    POOLED,
    TYPES,
    Reference,
    stage_file,
)
from services.backends.packing import NEIGHBOURS, ORDER, PLACES, Packing
from services.backends.tokenizing import TextEncoder
from services.models.files import Arrays, read_integers, read_weights

Floats: TypeAlias = NDArray[np.float32]
Inputs: TypeAlias = dict[str, NDArray[Any]]

# Largest difference of a logit from the reference, which for bf16 is in fp32. Where int8 was
# quantised on another kind of processor, a number may round to its neighbour; sums that overflow
# are off by far more.
TOLERANCES = {"fp32": 1e-3, "bf16": 0.5, "int8": 0.5}
REMEDIES = {
    "fp32": "`offramp export BUNDLE`",
    "bf16": "`offramp export BUNDLE`",
    "int8": "`offramp calibrate BUNDLE DATA --precision int8`",
}
# What is not int8 is computed in.
HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}


@dataclass(frozen=True, slots=True)
class RowState:
    """A row between two stages: states of its tokens (T, H), and the pooled ones so far (D, H)."""

    hidden: Floats
    pooled: Floats

    @property
    def tokens(self) -> int:
        """Number of tokens."""
        return len(self.hidden)


class OpenVinoBackend(Backend[Encoded | RowState]):
    """Runs exported stages, packed. Raises BundleError where they are missing or cannot be read.

    folder: what `training.openvino_export` wrote.  precision: that it was exported in.
    weights: file of the weights that the graphs do without.
    threads: 0 leaves OpenVINO's choice, all cores.
    """

    def __init__(
        self,
        folder: Path,
        stages: int,
        encoder: TextEncoder,
        *,
        precision: str,
        weights: Path,
        threads: int = 0,
    ) -> None:
        self.name = f"openvino-cpu-{precision}"
        self.precision = precision
        self.stages = stages
        self.folder = folder
        self._encoder = encoder
        self.vocabulary = encoder.vocabulary
        self._threads = threads
        self._weights: Arrays = {}
        core = openvino.Core()
        try:
            self._models = [core.read_model(stage_file(folder, i)) for i in range(stages)]
            self._reference = Reference.read(folder)
            known = read_weights(weights) | read_integers(weights)
            for model in self._models:
                self._weights |= exported.with_weights(model, known)
            self._reaches = [packed_stages.pack(model) for model in self._models]
        except (RuntimeError, OSError, KeyError) as error:
            raise BundleError(
                f"{folder} does not hold {stages} stages that OpenVINO reads ({error}); make them "
                f"with {REMEDIES[precision]}"
            ) from None
        self._core = core
        self._stages: list[_Stage] = []

    def prepare(self) -> None:
        """Compile the stages for this machine, and see that it computes what the bundle says.

        Raises BundleError where it does not.
        """
        if self._stages:
            return
        settings = {
            "INFERENCE_NUM_THREADS": self._threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": HINTS[self.precision],
            "ENABLE_CPU_PINNING": False,  # other tiers run on these cores too
        }
        self._stages = [
            _Stage(self._core.compile_model(model, "CPU", settings)) for model in self._models
        ]
        self._compare()

    def _compare(self) -> None:
        states = self.begin(self._reference.rows)
        for stage, wanted in enumerate(self._reference.logits):
            states, logits = self.run_stage(stage, states)
            off = float(np.abs(logits - wanted).max())
            if not off <= TOLERANCES[self.precision]:
                raise BundleError(
                    f"on this processor OpenVINO's stage {stage} in {self.precision} is off by "
                    f"{off:.2g} from what the bundle was exported with; set engine.backend to torch"
                )

    def encode(self, texts: Sequence[Text]) -> list[Encoded]:
        """Tokenise with the tier's own tokenizer."""
        return self._encoder.encode(texts)

    def begin(self, rows: Sequence[Encoded]) -> list[Encoded | RowState]:
        """Nothing to do: the first stage embeds."""
        return list(rows)

    def shape(self, rows: int, tokens: int) -> tuple[int, int]:
        """One of the few that stages are compiled for."""
        return shapes.next_up(rows, tokens, self._encoder.max_tokens)

    def run_stage(
        self, stage: int, rows: Sequence[Encoded | RowState]
    ) -> tuple[list[Encoded | RowState], Floats]:
        """Bring the rows together and run the stage."""
        lengths = np.array([row.tokens for row in rows])
        shape = self.shape(len(rows), int(lengths.max()))
        packed = Packing.of(lengths, shape)
        inputs: Inputs = {
            MASK: shapes.mask(lengths, shape),
            PLACES: packed.places,
            ORDER: packed.order,
        }
        if self._reaches[stage] > 0:
            inputs[NEIGHBOURS] = packed.neighbours(self._reaches[stage])
        if stage == 0:
            inputs |= self._ids([row for row in rows if isinstance(row, Encoded)], shape)
        else:
            states = [row for row in rows if isinstance(row, RowState)]
            inputs |= _brought_together(states, shape[0], len(packed.places))
        found = self._stages[stage](inputs)
        logits = found[LOGITS][: len(rows)]
        if stage + 1 == self.stages:
            return list(rows), logits  # there is nothing to go on to
        hidden = np.split(found[NEXT_HIDDEN][0, : packed.tokens], np.cumsum(lengths)[:-1])
        pooled = found[NEXT_POOLED][: len(rows)]
        return [RowState(*own) for own in zip(hidden, pooled, strict=True)], logits

    def _ids(self, rows: Sequence[Encoded], shape: tuple[int, int]) -> Inputs:
        """What the first stage embeds, padded (B, T)."""
        batch = self._encoder.batch(rows)
        inputs: Inputs = {IDS: shapes.filled(batch.ids, shape)}
        if batch.type_ids is not None:
            inputs[TYPES] = shapes.filled(batch.type_ids, shape)
        return inputs


def _brought_together(rows: Sequence[RowState], count: int, tokens: int) -> Inputs:
    """States of rows, packed (1, N, H) and pooled (B, D, H), filled up with zeros."""
    hidden = np.concatenate([row.hidden for row in rows])
    pooled = np.stack([row.pooled for row in rows])
    return {HIDDEN: shapes.filled(hidden, (tokens,))[None], POOLED: shapes.filled(pooled, (count,))}


class _Stage:
    """A stage compiled for this machine: inputs by name, of which it reads its own, to outputs."""

    def __init__(self, compiled: Any) -> None:
        self._request = compiled.create_infer_request()
        self._inputs = [port.get_any_name() for port in compiled.inputs]
        self._outputs = [port.get_any_name() for port in compiled.outputs]

    def __call__(self, inputs: Inputs) -> Inputs:
        """Inputs are read where they lie; handing them to `infer` costs 0.1 ms more."""
        # They are referred to here for as long as it runs, and set anew before the next run.
        arrays = [np.ascontiguousarray(inputs[name]) for name in self._inputs]
        for name, array in zip(self._inputs, arrays, strict=True):
            self._request.set_tensor(name, openvino.Tensor(array, shared_memory=True))
        return dict(zip(self._outputs, self._request.infer().values(), strict=True))


def bf16_is_native() -> bool:
    """Whether this processor has instructions for bf16 that OpenVINO uses.

    Where it has none OpenVINO quietly takes fp32, or plays bf16 slowly.
    """
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
