"""Queues on a clock of their own: what merging survivors buys, without a stopwatch."""

from __future__ import annotations

import numpy as np
import pytest

from bench.queues.drive import DeepestFirst, Driver, Merging, Tier
from bench.queues.replay import Replay
from offramp.decision.calibrators import Temperature
from offramp.decision.confidence import Measure
from offramp.decision.cost import CostCurve
from offramp.decision.readout import Readout
from services.engine.plan import StagePlan
from services.engine.stage_clock import StageCurve

TEXTS = 500
LEAVING = (0.55, 0.2, 0.1, 0.15)
# What a batch costs hardly depends on its rows; and: it is nearly all rows.
DEAR_STARTS = StageCurve(CostCurve(0.00203), CostCurve(0.002 / 64 + 0.00003), full=64)
CHEAP_STARTS = StageCurve(CostCurve(0.0021), CostCurve(0.0019), full=64)


def tier(curve: StageCurve) -> Tier:
    """A tier of four stages at which a text is either sure or not at all."""
    rng = np.random.default_rng(0)
    leaves = rng.choice(len(LEAVING), TEXTS, p=LEAVING)
    logits = np.zeros((len(LEAVING), TEXTS, 2), dtype=np.float32)
    for stage in range(len(LEAVING)):
        logits[stage, leaves <= stage, 0] = 20.0
    curves = (curve,) * len(LEAVING)
    backend = Replay(logits, rng.integers(5, 60, TEXTS), curves)
    readouts = (Readout(Temperature(1.0)),) * len(LEAVING)
    plan = StagePlan((0.9,) * len(LEAVING), len(LEAVING) - 1, Measure.MAX_PROB)
    return Tier(backend, ("a", "b", "c", "d"), readouts, plan, curves)


def run(curve, rule, in_flight):
    found = tier(curve)
    driver = Driver(found, rule, 64, found.backend.clock)
    return driver.closed_loop([str(row) for row in range(TEXTS)], in_flight, 8000)


def test_every_text_is_answered_once():
    assert len(run(DEAR_STARTS, Merging, 256).latencies) == 8000


@pytest.mark.parametrize("in_flight", [256, 1000])
def test_where_starts_are_dear_queues_beat_compaction_alone(in_flight):
    alone, queues = (run(DEAR_STARTS, rule, in_flight) for rule in (DeepestFirst, Merging))
    assert queues.rate > 1.15 * alone.rate
    assert np.percentile(queues.latencies, 99) < 1.05 * np.percentile(alone.latencies, 99)
    assert min(queues.batches[1:]) > 1.4 * min(alone.batches[1:])


@pytest.mark.parametrize("in_flight", [4, 64, 1000])
def test_where_starts_are_cheap_nobody_waits_in_vain(in_flight):
    alone, queues = (run(CHEAP_STARTS, rule, in_flight) for rule in (DeepestFirst, Merging))
    assert queues.rate > 0.98 * alone.rate
    assert queues.latencies.mean() < 1.03 * alone.latencies.mean()
    assert np.percentile(queues.latencies, 99) < 1.1 * np.percentile(alone.latencies, 99)


@pytest.mark.parametrize("rule", [DeepestFirst, Merging])
def test_an_idle_tier_answers_a_text_in_the_time_of_its_stages(rule):
    found = tier(DEAR_STARTS)
    driver = Driver(found, rule, 64, found.backend.clock)
    load = driver.arrivals(["0"], np.arange(20) * 1.0, found.backend.pass_until)
    assert load.latencies == pytest.approx(load.latencies[0])
    assert load.latencies[0] < 4 * 0.0025
    assert load.batches[0] == 1.0
