"""Seconds from a text to each exit, measured on this machine, one text at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from services.backends.base import Backend
from services.backends.opening import backend_of
from services.models.loading import TierModel
from training.data import Text

SAMPLE = 48
WARM_UP = 4


def seconds_to_exits(
    tiers: Sequence[TierModel], texts: Sequence[Text], precision: str
) -> tuple[float, ...]:
    """Median seconds (E,) from the start of the cascade, tokenising included, over some texts.

    By the backend that serves, without its queues.
    """
    backends = [_backend(tier, precision) for tier in tiers]
    sample = texts[:: max(1, len(texts) // SAMPLE)][:SAMPLE]
    for text in sample[:WARM_UP]:
        _run(backends, text)
    spent = np.asarray([_run(backends, text) for text in sample])
    return tuple(np.median(spent, axis=0).tolist())


def _backend(tier: TierModel, precision: str) -> Backend[Any]:
    backend = backend_of(tier, precision)
    backend.prepare()
    return backend


def _run(backends: Sequence[Backend[Any]], text: Text) -> list[float]:
    """Seconds until each exit had its logits."""
    began = time.perf_counter()
    seconds = []
    for backend in backends:
        states = backend.begin(backend.encode([(text.text, text.pair)]))
        for stage in range(backend.stages):
            states, _ = backend.run_stage(stage, states)
            seconds.append(time.perf_counter() - began)
    return seconds
