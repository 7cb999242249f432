"""Stages run by OpenVINO on the CPU, in fp32, bf16 or int8, from an exported folder.

In bf16 fp32's graphs and weights run, for processors that have instructions for it. In int8 sums of
integers do not round, so a row's result hardly ever depends on what runs beside it: only where what
stays in fp32 (attention, norms) rounds otherwise in another shape, right at a step of an integer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import openvino
from numpy.typing import NDArray

from offramp.errors import BundleError
from services.backends import exported, shapes
from services.backends import rows as batching
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
from services.backends.rows import Batch, RowInBatch
from services.backends.tokenizing import TextEncoder
from services.models.files import Arrays, read_integers, read_weights

Floats: TypeAlias = NDArray[np.float32]
ArrayRow: TypeAlias = RowInBatch[Floats]

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


class OpenVinoBackend(Backend[ArrayRow]):
    """Runs exported stages. Raises BundleError where they are missing or cannot be read.

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
        except (RuntimeError, OSError, KeyError) as error:
            raise BundleError(
                f"{folder} does not hold {stages} stages that OpenVINO reads ({error}); make them "
                f"with {REMEDIES[precision]}"
            ) from None
        self._core = core
        self._requests: list[Any] = []

    def prepare(self) -> None:
        """Compile the stages for this machine, and see that it computes what the bundle says.

        Raises BundleError where it does not.
        """
        if self._requests:
            return
        settings = {
            "INFERENCE_NUM_THREADS": self._threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": HINTS[self.precision],
            "ENABLE_CPU_PINNING": False,  # other tiers run on these cores too
        }
        self._requests = [
            self._core.compile_model(model, "CPU", settings).create_infer_request()
            for model in self._models
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

    def begin(self, rows: Sequence[Encoded]) -> list[ArrayRow]:
        """Pad the rows to the longest; the first stage embeds them."""
        batch = self._encoder.batch(rows)
        by_token: Any = (batch.ids,) if batch.type_ids is None else (batch.ids, batch.type_ids)
        return Batch(by_token, (), batch.lengths).rows()

    def shape(self, rows: int, tokens: int) -> tuple[int, int]:
        """One of the few that stages are compiled for."""
        return shapes.next_up(rows, tokens, self._encoder.max_tokens)

    def run_stage(
        self, stage: int, rows: Sequence[ArrayRow]
    ) -> tuple[list[ArrayRow], NDArray[np.float32]]:
        """Bring the rows together, without copies where they already are, and run the stage."""
        batch = batching.gather(rows, NumpyRows())
        shape = self.shape(len(rows), int(batch.lengths.max()))
        batch = Batch(
            tuple(shapes.filled(array, shape) for array in batch.by_token),
            tuple(shapes.filled(array, shape[:1]) for array in batch.by_row),
            batch.lengths,
        )
        names = (HIDDEN,) if stage else (IDS, TYPES)[: len(batch.by_token)]
        inputs: dict[str, Any] = dict(zip(names, batch.by_token, strict=True))
        inputs[MASK] = shapes.mask(batch.lengths, shape)
        if stage:
            (inputs[POOLED],) = batch.by_row
        found = _infer(self._requests[stage], inputs)
        logits = found[LOGITS][: len(rows)]
        if stage + 1 < self.stages:
            batch = Batch((found[NEXT_HIDDEN],), (found[NEXT_POOLED],), batch.lengths)
        return batch.rows(), logits


def bf16_is_native() -> bool:
    """Whether this processor has instructions for bf16 that OpenVINO uses.

    Where it has none OpenVINO quietly takes fp32, or plays bf16 slowly.
    """
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _infer(request: Any, inputs: Mapping[str, NDArray[Any]]) -> Any:
    """Outputs by name. Inputs are read where they lie; handing them to `infer` costs 0.1 ms more.

    They are referred to here for as long as it runs, and set anew before the next run.
    """
    arrays = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
    for name, array in arrays.items():
        request.set_tensor(name, openvino.Tensor(array, shared_memory=True))
    return request.infer()


class NumpyRows:
    """Selecting, joining and padding of NumPy's arrays."""

    def take(self, array: Floats, rows: Sequence[int]) -> Floats:
        """Some rows of an array."""
        return array[list(rows)]

    def join(self, arrays: Sequence[Floats]) -> Floats:
        """The rows of several arrays."""
        return np.concatenate(arrays)

    def widen(self, array: Floats, tokens: int) -> Floats:
        """Zeros on the right; masked, so that they never count."""
        missing = tokens - array.shape[1]
        if missing == 0:
            return array
        return np.pad(array, [(0, 0), (0, missing), *[(0, 0)] * (array.ndim - 2)])
