"""Stages run by OpenVINO on the CPU, in fp32 or int8, from what `training.openvino_export` wrote.

In int8 a row's result is the same to the last bit whatever runs beside it: sums of integers do not
round.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import openvino
from numpy.typing import NDArray

from offramp.errors import BundleError
from services.backends import rows as batching
from services.backends.base import Backend, Encoded, Text
from services.backends.rows import Batch, RowInBatch
from services.backends.tokenizing import TextEncoder

Floats: TypeAlias = NDArray[np.float32]
ArrayRow: TypeAlias = RowInBatch[Floats]

# Names of a stage's inputs and outputs. The first stage reads ids, the others hidden and pooled.
IDS, MASK, TYPES = "token_ids", "attention_mask", "type_ids"
HIDDEN, POOLED = "hidden", "pooled"
NEXT_HIDDEN, NEXT_POOLED, LOGITS = "next_hidden", "next_pooled", "logits"


def stage_file(folder: Path, stage: int) -> Path:
    """Where a stage is, in the folder of a tier's exported stages."""
    return folder / f"stage{stage}.xml"


class OpenVinoBackend(Backend[ArrayRow]):
    """Runs exported stages. Raises BundleError where they are missing or cannot be read.

    folder: one file per stage.  precision: that they were exported in.
    threads: 0 leaves OpenVINO's choice, all cores.
    """

    def __init__(
        self, folder: Path, stages: int, encoder: TextEncoder, *, precision: str, threads: int = 0
    ) -> None:
        self.name = f"openvino-cpu-{precision}"
        self.precision = precision
        self.stages = stages
        self._encoder = encoder
        self._threads = threads
        core = openvino.Core()
        try:
            self._models = [core.read_model(stage_file(folder, i)) for i in range(stages)]
        except RuntimeError as error:
            raise BundleError(
                f"{folder} does not hold {stages} stages that OpenVINO reads ({error}); make them "
                f"with `offramp calibrate BUNDLE DATA --precision {precision}`"
            ) from None
        self._core = core
        self._requests: list[Any] = []

    def prepare(self) -> None:
        """Compile the stages for this machine."""
        settings = {
            "INFERENCE_NUM_THREADS": self._threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "f32",  # of what is not int8
            "ENABLE_CPU_PINNING": False,  # other tiers run on these cores too
        }
        self._requests = [
            self._core.compile_model(model, "CPU", settings).create_infer_request()
            for model in self._models
        ]

    def encode(self, texts: Sequence[Text]) -> list[Encoded]:
        """Tokenise with the tier's own tokenizer."""
        return self._encoder.encode(texts)

    def begin(self, rows: Sequence[Encoded]) -> list[ArrayRow]:
        """Pad the rows to the longest; the first stage embeds them."""
        lengths = np.array([row.tokens for row in rows], dtype=np.int64)
        ids: Any = batching.padded([row.token_ids for row in rows], self._encoder.pad_token_id)
        if not self._encoder.wants_type_ids:
            return Batch((ids,), (), lengths).rows()
        types: Any = batching.padded([row.type_ids or () for row in rows], 0)
        return Batch((ids, types), (), lengths).rows()

    def run_stage(
        self, stage: int, rows: Sequence[ArrayRow]
    ) -> tuple[list[ArrayRow], NDArray[np.float32]]:
        """Bring the rows together, without copies where they already are, and run the stage."""
        batch = batching.gather(rows, NumpyRows())
        names = (HIDDEN,) if stage else (IDS, TYPES)[: len(batch.by_token)]
        inputs: dict[str, Any] = dict(zip(names, batch.by_token, strict=True))
        inputs |= {MASK: batching.mask_of(batch.lengths)}
        if stage:
            (inputs[POOLED],) = batch.by_row
        found = self._requests[stage].infer(inputs, share_inputs=True)
        logits = found[LOGITS]
        if stage + 1 < self.stages:
            batch = Batch((found[NEXT_HIDDEN],), (found[NEXT_POOLED],), batch.lengths)
        return batch.rows(), logits


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
