"""The floor: processor seconds of the stages that texts had to run, at the best batch size."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.backends.base import Backend, Encoded

BATCHES = (4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class StageFloor:
    """One stage: rows that had to run it, and the least processor seconds that they can take.

    batch: the number of rows together at which that was.
    """

    exit: str
    rows: int
    batch: int
    seconds: float


def stage_floors(
    backend: Backend[Any], exits: Sequence[str], reached: Mapping[str, Sequence[str]], repeats: int
) -> list[StageFloor]:
    """Floors of the stages of a tier, in order.

    backend: prepared, on one thread, which wastes least.  exits: of the tier.
    reached: the texts that ran each exit's stage; those of a deeper one ran all before it.
    """
    encoded = dict.fromkeys(text for texts in reached.values() for text in texts)
    rows = dict(zip(encoded, backend.encode([(text, None) for text in encoded]), strict=True))
    found = []
    for stage, name in enumerate(exits):
        waiting = sorted((rows[text] for text in reached.get(name, ())), key=lambda row: row.tokens)
        timed = {batch: _least(backend, stage, waiting, batch, repeats) for batch in BATCHES}
        best = min(timed, key=lambda batch: timed[batch])
        found.append(StageFloor(name, len(waiting), best, timed[best]))
    return found


def _least(
    backend: Backend[Any], stage: int, rows: Sequence[Encoded], batch: int, repeats: int
) -> float:
    """Least processor seconds, of some tries, of one stage for all rows; stages before are free."""
    chunks = [rows[start : start + batch] for start in range(0, len(rows), batch)]
    return min(
        (
            float(np.sum([_spent(backend, stage, chunk) for chunk in chunks]))
            for _ in range(repeats)
        ),
        default=0.0,
    )


def _spent(backend: Backend[Any], stage: int, rows: Sequence[Encoded]) -> float:
    began = time.process_time()
    states = backend.begin(rows)
    for before in range(stage):
        states, _ = backend.run_stage(before, states)
    if stage:
        began = time.process_time()
    backend.run_stage(stage, states)
    return time.process_time() - began
