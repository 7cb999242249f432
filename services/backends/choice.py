"""Which of several backends runs a tier: the fastest here, of those that compute it rightly."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any

from offramp.errors import BundleError
from services.backends.base import Backend, Encoded

log = logging.getLogger(__name__)

# What is timed: a batch of so many rows and tokens, the fastest of so many runs.
ROWS, TOKENS, RUNS = 16, 32, 3


def fastest(candidates: Sequence[Backend[Any]]) -> Backend[Any]:
    """The fastest of one or more backends of one tier.

    One that fails, or finds that it computes something else than it should, is left out where there
    is another; a single one is not tried.
    """
    if len(candidates) == 1:
        return candidates[0]
    taken = {backend: seconds for backend in candidates if (seconds := _tried(backend))}
    for backend, seconds in taken.items():
        log.info("%s: %d texts of %d tokens in %.4f s", backend.name, ROWS, TOKENS, seconds)
    return min(taken or candidates, key=lambda backend: taken.get(backend, 0.0))


def _tried(backend: Backend[Any]) -> float | None:
    """Seconds of a batch; on a thread of its own, since backends keep settings by thread."""
    found: list[float] = []

    def run() -> None:
        try:
            backend.prepare()
            row = backend.encode([(" ".join(["a"] * (TOKENS - 2)), None)])[0]
            found.append(min(_timed(backend, [row] * ROWS) for _ in range(RUNS)))
        except (BundleError, RuntimeError) as error:
            log.warning("%s cannot run this tier: %s", backend.name, error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0] if found else None


def _timed(backend: Backend[Any], rows: list[Encoded]) -> float:
    began = time.perf_counter()
    states = backend.begin(rows)
    for stage in range(backend.stages):
        states, _ = backend.run_stage(stage, states)
    return time.perf_counter() - began
