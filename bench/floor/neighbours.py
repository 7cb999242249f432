"""Work for the other cores while a floor is measured, as they have it under load.

Where cores share caches, power or a pair of hardware threads, processor time is dearer when all are
busy: a floor taken on an idle machine is not to be had on a busy one.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from multiprocessing.synchronize import Event
from pathlib import Path

from services.backends.opening import Wish, open_tier

BATCH = 16
PATIENCE_SECONDS = 120.0


@contextmanager
def busy(bundle: Path, precisions: Mapping[str, str], texts: Sequence[str]) -> Iterator[None]:
    """On every core but one, run the stages of a bundle's tiers while the block runs.

    precisions: what each tier computes in.  Raises RuntimeError where they cannot be run.
    """
    spawn = multiprocessing.get_context("spawn")
    runs = [spawn.Event() for _ in range((os.cpu_count() or 1) - 1)]
    neighbours = [
        spawn.Process(target=_keep_busy, args=(bundle, dict(precisions), texts, event), daemon=True)
        for event in runs
    ]
    try:
        for neighbour in neighbours:
            neighbour.start()
        if not all(event.wait(PATIENCE_SECONDS) for event in runs):
            raise RuntimeError("the other cores were not busy in time")
        yield
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.join()


def _keep_busy(
    bundle: Path, precisions: Mapping[str, str], texts: Sequence[str], running: Event
) -> None:
    """All stages of all tiers on the texts, again and again, until killed."""
    backends = [
        open_tier(bundle, tier, Wish(precision, threads=1)).backend
        for tier, precision in precisions.items()
    ]
    for backend in backends:
        backend.prepare()
    running.set()
    for start in cycle(range(0, len(texts), BATCH)):
        for backend in backends:
            rows = backend.encode([(text, None) for text in texts[start : start + BATCH]])
            states = backend.begin(rows)
            for stage in range(backend.stages):
                states, _ = backend.run_stage(stage, states)
