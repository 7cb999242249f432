"""A tier's evidence, replayed through the real engine on a clock of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.backends.base import Backend, Encoded, Text
from services.engine.batching import STEP_SECONDS
from services.engine.stage_clock import StageCurve


class Replay(Backend[int]):
    """Says what a tier said when its evidence was taken, and takes the time that curves say.

    logits: (S, N, C) of the tier's stages.  tokens: (N,).  A text is the number of its row.
    """

    name = "replay"
    precision = "fp32"

    def __init__(
        self,
        logits: NDArray[np.float32],
        tokens: NDArray[np.int64],
        curves: Sequence[StageCurve],
    ) -> None:
        self.stages = len(logits)
        self._logits = logits
        self._tokens = tokens
        self._curves = tuple(curves)
        self._now = 0.0

    def clock(self) -> float:
        """Seconds that the batches so far have taken."""
        return self._now

    def pass_until(self, moment: float) -> None:
        """Let an idle tier's time pass."""
        self._now = max(self._now, moment)

    def prepare(self) -> None:
        """Nothing is to be prepared."""

    def encode(self, texts: Sequence[Text]) -> list[Encoded]:
        """As many tokens as the row had; the first of them stands for the row."""
        rows = [int(text) for text, _ in texts]
        return [Encoded([row] * int(self._tokens[row]), None, False) for row in rows]

    def begin(self, rows: Sequence[Encoded]) -> list[int]:
        """The numbers of the rows."""
        return [row.token_ids[0] for row in rows]

    def run_stage(self, stage: int, rows: Sequence[int]) -> tuple[list[int], NDArray[np.float32]]:
        """The logits of the stage, and its time."""
        tokens = self._tokens[list(rows)].tolist()
        self._now += STEP_SECONDS + self._curves[stage].mixed(tokens)
        return list(rows), self._logits[stage, list(rows)]
