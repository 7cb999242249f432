"""What every family of thresholds promises, and what each of them is made of."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.decision.confidence import Measure
from offramp.decision.evidence import Evidence
from offramp.decision.family import Family
from offramp.decision.frontier import Frontier
from offramp.decision.simulate import chosen_exits, simulate
from offramp.decision.thresholds import ExitShares, GlobalThreshold
from tests.unit.offramp.decision.test_frontier import make_evidence

FAMILIES = (Frontier, GlobalThreshold, ExitShares)
families = st.builds(
    lambda kind, seed, examples: kind(make_evidence(seed, examples), Measure.MAX_PROB),
    st.sampled_from(FAMILIES),
    st.integers(0, 10_000),
    st.integers(2, 200),
)


@settings(max_examples=30)
@given(families)
def test_thresholds_are_nested_along_the_dial(family: Family) -> None:
    for dear, cheap in itertools.pairwise(family.points):
        assert dear.thresholds != cheap.thresholds
        assert all(a >= b for a, b in zip(dear.thresholds, cheap.thresholds, strict=True))


@settings(max_examples=30)
@given(families, st.integers(0, 10_000))
def test_cost_falls_along_the_dial_on_data_never_seen(family: Family, other: int) -> None:
    unseen = make_evidence(other)
    costs = [
        simulate(unseen, point.thresholds, Measure.MAX_PROB).mean_cost for point in family.points
    ]
    assert costs == sorted(costs, reverse=True)


@settings(max_examples=50)
@given(st.sampled_from(FAMILIES), st.integers(0, 10_000), st.floats(0.05, 1.0))
def test_a_cost_target_is_met_and_nearly_used_up(kind: type, seed: int, cost: float) -> None:
    family = kind(make_evidence(seed), Measure.MAX_PROB)
    point = family.at_cost(cost)
    assert point.forecast.mean_cost <= cost
    dearest = family.points[0].forecast.mean_cost
    assert point.forecast.mean_cost >= min(cost, dearest) * 0.9 - 0.02


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_cost_below_the_cheapest_point_is_refused_with_the_least_there_is(kind: type) -> None:
    with pytest.raises(ValueError, match=r"below what this cascade can do: at least 0\.0"):
        kind(make_evidence(0), Measure.MAX_PROB).at_cost(0.001)


@pytest.mark.parametrize("kind", [GlobalThreshold, ExitShares])
def test_a_dial_goes_from_full_depth_to_the_first_exit(kind: type) -> None:
    points = kind(make_evidence(5), Measure.MAX_PROB).points
    assert points[0].thresholds == (1.0, 1.0, 1.0, 0.0)
    assert points[-1].thresholds[0] == 0.0


def test_a_global_threshold_is_the_same_at_every_exit_and_in_even_steps() -> None:
    points = GlobalThreshold(make_evidence(5), Measure.MAX_PROB).points
    assert all(set(p.thresholds[:-1]) == {p.setting} for p in points)
    assert len(points) == 120
    shares = [p.forecast.exit_shares["small"] for p in points]
    assert np.diff(shares).max() < 0.03


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(2, 250))
def test_the_budget_of_exit_shares_is_what_they_cost(seed: int, examples: int) -> None:
    for point in ExitShares(make_evidence(seed, examples), Measure.MAX_PROB).points:
        assert point.forecast.mean_cost == pytest.approx(point.setting)


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_each_step_moves_a_hundredth_of_the_texts_to_one_exit(seed: int) -> None:
    evidence = make_evidence(seed)
    scores = evidence.confidences(Measure.MAX_PROB)
    points = ExitShares(evidence, Measure.MAX_PROB).points
    exits = [chosen_exits(scores, point.thresholds) for point in points]
    for before, after in itertools.pairwise(exits):
        moved = before != after
        assert 1 <= moved.sum() <= 2
        assert len(set(after[moved])) == 1
        here = after[moved][0]
        left = after > here
        assert scores[here][left].max(initial=0) <= scores[here][moved].min()


def agreement(evidence: Evidence, exits: np.ndarray) -> int:
    answers = evidence.answers()
    return int((answers[exits, np.arange(len(exits))] == answers[-1]).sum())


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_each_step_loses_the_least_agreement_per_cost_saved(seed: int) -> None:
    """Against all that could be moved: to each exit, the surest two of those that go deeper."""
    evidence = make_evidence(seed, 60)
    scores, costs = evidence.confidences(Measure.MAX_PROB), evidence.costs()
    rows = np.arange(60)
    points = ExitShares(evidence, Measure.MAX_PROB).points
    for before, after in itertools.pairwise(points):
        start = chosen_exits(scores, before.thresholds)
        prices = []
        for target in range(3):
            deeper = np.flatnonzero(start > target)
            if len(deeper):
                moved = start.copy()
                moved[deeper[np.argmax(scores[target][deeper])]] = target
                saved = (costs[start, rows] - costs[moved, rows]).sum()
                prices.append((agreement(evidence, start) - agreement(evidence, moved)) / saved)
        end = chosen_exits(scores, after.thresholds)
        saved = (costs[start, rows] - costs[end, rows]).sum()
        paid = (agreement(evidence, start) - agreement(evidence, end)) / saved
        assert paid == pytest.approx(min(prices))


def test_equal_scores_leave_together() -> None:
    evidence = make_evidence(1, 40).subset(np.repeat(np.arange(4), 25))
    points = ExitShares(evidence, Measure.MAX_PROB).points
    assert len(points) <= 4 * 3 + 1
    assert points[-1].forecast.exit_shares["small"] == 1.0
