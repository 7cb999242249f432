"""Warm-up: runs every stage a few times before the tier serves, and measures what each costs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from offramp.decision.cost import CostCurve
from offramp.process.contention import waited_seconds
from services.backends.base import Backend, Encoded
from services.engine.batching import STEP_SECONDS
from services.engine.stage_clock import StageCurve

TOKENS = (8, 16, 32, 64, 128)
# A batch is run so often, and more often where that takes little time.
RUNS, MOST_RUNS, RUNS_SECONDS = 3, 20, 0.1
# Batches that are tried, of texts of so many tokens; the smallest that is this near the cheapest
# is taken, for rows wait less in small ones. No larger ones are tried once two in a row were not
# cheaper by as much: what they take of memory stays taken.
BATCHES, TYPICAL, NEARLY, FRUITLESS = (1, 2, 4, 8, 16, 32, 64, 128, 256), 32, 1.03, 2
# Longer texts are left out once this much time was spent; two lengths are always measured.
BUDGET_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class Measurement:
    """Seconds by stage of one batch, at one number of rows and tokens."""

    rows: int
    tokens: int
    seconds: tuple[float, ...]


def measure(backend: Backend[Any], max_batch: int, pairs: bool) -> tuple[StageCurve, ...]:
    """Run full batches and single rows at a few lengths; one curve per stage."""
    alone: list[Measurement] = []
    shared: list[Measurement] = []
    ran: list[Encoded] = []
    began = time.perf_counter()
    for example in _examples(backend, pairs):
        if len(shared) >= 2 and time.perf_counter() - began > BUDGET_SECONDS:
            break
        alone.append(_fastest(backend, [example]))
        shared.append(_fastest(backend, [example] * max_batch))
        ran.append(example)
    curves = [
        StageCurve(_fit(alone, stage), _fit(shared, stage), max_batch)
        for stage in range(backend.stages)
    ]
    padding = _padding(backend, ran, shared)
    return tuple(replace(curve, padding=p) for curve, p in zip(curves, padding, strict=True))


def _padding(
    backend: Backend[Any], examples: Sequence[Encoded], shared: Sequence[Measurement]
) -> list[float]:
    """By stage, what a token of padding costs, as a share of another.

    From a batch of which half the rows are long, the others short: it takes what half a batch of
    each takes, where padding costs nothing, and as much as one of long rows, where it costs all.
    """
    short, long = shared[0], shared[-1]
    if short.rows == 1 or short.tokens == long.tokens:
        return [1.0] * backend.stages
    half = short.rows // 2
    mixed = _fastest(backend, [examples[0]] * half + [examples[-1]] * (short.rows - half))
    found = []
    for least, most, seconds in zip(short.seconds, long.seconds, mixed.seconds, strict=True):
        own = (half * least + (short.rows - half) * most) / short.rows
        share = (seconds - own) / (most - own) if most > own else 1.0
        found.append(min(max(share, 0.0), 1.0))
    return found


def best_batch(backend: Backend[Any], pairs: bool) -> int:
    """Rows to a batch at which a row costs least, or hardly more: where a batch costs its start
    alone, many; where a row costs more in a large one, few.
    """
    example = _example(backend, pairs, TYPICAL)
    found: dict[int, float] = {}
    began, fruitless = time.perf_counter(), 0
    for rows in BATCHES:
        run = _fastest(backend, [example] * rows)
        seconds = (sum(run.seconds) + STEP_SECONDS * backend.stages) / rows
        pays = not found or seconds * NEARLY < min(found.values())
        fruitless = 0 if pays else fruitless + 1
        found[rows] = seconds
        if fruitless == FRUITLESS or time.perf_counter() - began > BUDGET_SECONDS:
            break
    enough = NEARLY * min(found.values())
    return next(rows for rows, seconds in found.items() if seconds <= enough)


def cumulative_seconds(curves: Sequence[StageCurve]) -> tuple[CostCurve, ...]:
    """Seconds per row of a full batch from the tier's input up to each exit."""
    spent, found = CostCurve(), []
    for curve in curves:
        spent = spent + curve.shared
        found.append(spent)
    return tuple(found)


def _examples(backend: Backend[Any], pairs: bool) -> list[Encoded]:
    """Texts of about TOKENS tokens, without repeats where the tier cuts them to the same length."""
    encoded = [_example(backend, pairs, tokens) for tokens in TOKENS]
    return list({example.tokens: example for example in encoded}.values())


def _example(backend: Backend[Any], pairs: bool, tokens: int) -> Encoded:
    text = " ".join(["a"] * max(tokens - 2, 1))
    return backend.encode([(text, "a" if pairs else None)])[0]


def _fastest(backend: Backend[Any], rows: list[Encoded]) -> Measurement:
    """The fastest of a few runs of each stage: what the machine takes when nothing disturbs it."""
    runs: list[list[float]] = []
    end = time.perf_counter() + RUNS_SECONDS
    while len(runs) < RUNS or (len(runs) < MOST_RUNS and time.perf_counter() < end):
        runs.append(_timed(backend, rows))
    return Measurement(len(rows), rows[0].tokens, tuple(np.min(runs, axis=0).tolist()))


def _timed(backend: Backend[Any], rows: list[Encoded]) -> list[float]:
    """Seconds by stage, less those that this thread waited for a processor in.

    Tiers start at the same time. Long batches would look dearer than short ones by what runs beside
    them: those are hardly ever interrupted.
    """
    seconds = []
    began, waited = time.perf_counter(), waited_seconds()
    states = backend.begin(rows)
    for stage in range(backend.stages):
        states, _ = backend.run_stage(stage, states)
        # What comes between the two readings counts as run, never as waited alone.
        waits = waited_seconds() - waited
        seconds.append(time.perf_counter() - began - waits)
        began, waited = time.perf_counter(), waited_seconds()
    return seconds


def _fit(measurements: Sequence[Measurement], stage: int) -> CostCurve:
    """Seconds per row over tokens, by least squares on relative errors; no negative terms."""
    tokens = np.array([m.tokens for m in measurements], dtype=np.float64)
    seconds = np.array([m.seconds[stage] / m.rows for m in measurements])
    terms: NDArray[np.float64] = np.stack([np.ones_like(tokens), tokens, tokens**2], axis=1)
    # Unit columns: the raw ones differ by orders of magnitude, which the solver does not like.
    scale = terms.max(axis=0)
    found, _ = nnls(terms / scale / seconds[:, None], np.ones_like(seconds))
    constant, linear, quadratic = (found / scale).tolist()
    return CostCurve(constant, linear, quadratic)
