"""The papers' ways beside ours: each uses its own exits, chosen on one part, seen on another."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from offramp.decision.calibrators import Temperature
from offramp.decision.confidence import Measure
from offramp.decision.cost import CostCurve, ExitCost
from offramp.decision.readout import Readout
from offramp.decision.simulate import simulate
from tests.support.evidence import make_evidence
from training.compare.cascade import Examples, examples_of
from training.compare.methods import FULL, METHODS, OURS, TRAINED_ALONE
from training.compare.operating import LIMITS, mean_cost
from training.compare.ways import compare

BY_NAME = {method.name: method for method in METHODS}


@pytest.fixture(scope="module")
def choosing():
    return examples_of(make_evidence(3, examples=300, seed=1))


@pytest.fixture(scope="module")
def measured(choosing):
    return Examples(make_evidence(3, examples=500, seed=2), choosing.full_calibrator)


@pytest.fixture(scope="module")
def ways(choosing, measured):
    return {way.method.name: way for way in compare(METHODS, choosing, measured)}


def exits_used(way):
    return {int(place) for one in way.measured for place in one.outcome.exits}


def test_each_method_leaves_only_at_the_exits_of_its_paper(ways):
    assert exits_used(ways["full model"]) == {3}
    assert exits_used(ways["small tier alone"]) == {0}
    assert exits_used(ways["truncated, one exit"]) == {1, 2, 3}
    assert exits_used(ways["two tiers only"]) == {0, 3}
    assert exits_used(ways["multi-exit only"]) == {1, 2, 3}
    assert exits_used(ways["entropy exit"]) == {1, 2, 3}
    assert exits_used(ways[OURS.name]) == {0, 1, 2, 3}


def test_only_ways_with_a_small_tier_pay_for_one(ways, measured):
    tokens = measured.evidence.tokens
    curves = [e.flops for e in measured.evidence.exits]
    alone = ways["multi-exit only"].measured[0].outcome
    both = ways["two tiers only"].measured[0].outcome
    for outcome, before in ((alone, 0), (both, curves[0].at(tokens))):
        spent = np.stack([curve.at(tokens) for curve in curves])[outcome.exits, range(500)]
        extra = np.where(outcome.exits == 0, 0, before)
        assert outcome.flops == pytest.approx(spent + extra)


def test_full_depth_is_the_measure_of_all(ways):
    (full,) = ways[FULL.name].measured
    assert full.speedup == 1.0
    assert ways[FULL.name].losses == (0.0,)


def test_cascades_run_from_dear_to_cheap(ways):
    for name in ("two tiers only", "multi-exit only", "entropy exit", OURS.name):
        speedups = ways[name].speedups
        assert len(speedups) > 10
        assert all(b >= a * 0.999 for a, b in itertools.pairwise(speedups)), name


def test_our_figures_are_those_of_the_simulation(ways, measured):
    way = ways[OURS.name]
    for cascade, one in list(zip(way.cascades, way.measured, strict=True))[::10]:
        forecast = simulate(measured.evidence, cascade.thresholds, Measure.MAX_PROB)
        assert one.accuracy == pytest.approx(forecast.accuracy)


def test_a_point_is_chosen_without_a_look_at_what_is_measured(choosing, measured):
    labels = 1 - measured.labels
    upset = Examples(replace(measured.evidence, labels=labels), measured.full_calibrator)
    for one, other in zip(
        compare(METHODS, choosing, measured), compare(METHODS, choosing, upset), strict=True
    ):
        assert one.cascades == other.cascades
        assert [one.within(x) for x in LIMITS] == [other.within(x) for x in LIMITS]
        assert other.measured[0].accuracy == pytest.approx(1 - one.measured[0].accuracy)


def test_the_fastest_within_a_limit_keeps_it_where_it_was_chosen(ways):
    for way in ways.values():
        for limit in LIMITS:
            place = way.within(limit)
            if place is not None:
                assert way.losses[place] <= limit + 1e-9
                faster = [i for i, s in enumerate(way.speedups) if s > way.speedups[place]]
                assert all(way.losses[i] > limit for i in faster)


def test_a_way_without_its_exits_is_left_out(choosing, measured):
    one_tier = make_evidence(3, small=False)
    found = {w.method.name for w in compare(METHODS, examples_of(one_tier), examples_of(one_tier))}
    assert found == BY_NAME.keys() - {"two tiers only", "small tier alone"}
    flat = make_evidence(1)
    found = {w.method.name for w in compare(METHODS, examples_of(flat), examples_of(flat))}
    assert found == BY_NAME.keys() - {"multi-exit only", "entropy exit"}


def test_the_baselines_know_nothing_of_the_bundles_own_readouts(choosing, measured):
    mixed = Readout(Temperature(9.0), mix=(0.5, 0.5))
    readouts = (*choosing.evidence.readouts[:2], mixed, mixed)
    other = examples_of(replace(choosing.evidence, readouts=readouts))
    for method in METHODS:
        if method is not OURS:
            assert method.cascades(other.evidence) == method.cascades(choosing.evidence)
    assert OURS.cascades(other.evidence) != OURS.cascades(choosing.evidence)


def test_a_model_trained_alone_is_no_part_of_the_cascade(choosing):
    evidence = choosing.evidence
    alone = ExitCost("alone@2", "alone@2", CostCurve(0.0, 2.0, 0.01))
    joined = replace(
        evidence,
        exits=(alone, *evidence.exits),
        logits=np.concatenate([evidence.logits[2:3], evidence.logits]),
        readouts=(Readout(), *evidence.readouts),
    )
    (cascade,) = TRAINED_ALONE.cascades(joined)
    assert cascade.view.exits == (0,)
    assert {c.view.exits for c in OURS.cascades(joined)} == {(1, 2, 3, 4)}
    assert {c.view.exits for c in BY_NAME["two tiers only"].cascades(joined)} == {(1, 4)}
    assert TRAINED_ALONE.cascades(evidence) == []


def mixed(evidence, weights):
    """The evidence with the last exit's answer combined from those of its tier."""
    last = replace(evidence.readouts[-1], mix=weights)
    return replace(evidence, readouts=(*evidence.readouts[:-1], last))


def cost_of(evidence):
    examples = examples_of(evidence)
    return mean_cost(examples, OURS.cascades(examples.evidence))


def test_full_depth_costs_one_and_a_cascade_less(choosing):
    assert mean_cost(choosing, FULL.cascades(choosing.evidence)) == 1.0
    assert 0.0 < cost_of(choosing.evidence) < 1.0


def test_a_combination_of_exits_that_answers_worse_costs_the_cascade_more():
    evidence = make_evidence(3, examples=600, seed=5)
    assert cost_of(mixed(evidence, (0.9, 0.1, 0.0))) > cost_of(evidence)


def test_a_combination_of_exits_that_answers_better_costs_the_cascade_less():
    evidence = make_evidence(3, examples=600, seed=5)
    rng = np.random.default_rng(0)
    signs = 2.0 * evidence.labels - 1
    # Two exits of the same worth that err apart from each other.
    margins = [signs + rng.normal(0, 1.0, 600) for _ in range(2)]
    apart = [np.stack([-m, m], axis=-1).astype(np.float32) for m in margins]
    logits = np.stack([*evidence.logits[:2], *apart])
    alone = replace(evidence, logits=logits)
    assert cost_of(mixed(alone, (0.0, 0.5, 0.5))) < cost_of(alone)
