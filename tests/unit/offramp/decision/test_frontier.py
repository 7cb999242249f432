"""The frontier: optimal on small cases, nested, and monotone in cost on any data."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.decision.confidence import Measure
from offramp.decision.cost import CostCurve, ExitCost
from offramp.decision.evidence import Evidence
from offramp.decision.frontier import Frontier, best_threshold, solve
from offramp.decision.simulate import chosen_exits, simulate

EXITS = (
    ExitCost("small", "small", CostCurve(5.0, 1.0)),
    ExitCost("large@2", "large", CostCurve(10.0, 30.0)),
    ExitCost("large@4", "large", CostCurve(20.0, 60.0)),
    ExitCost("large@6", "large", CostCurve(30.0, 90.0)),
)


def make_evidence(seed: int, examples: int = 200) -> Evidence:
    """Binary evidence whose exits get better with depth."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, examples)
    logits = []
    for strength in (1.0, 1.4, 1.9, 2.2):
        score = rng.normal(size=examples) + (labels * 2 - 1) * strength
        logits.append(np.stack([-score * strength, score * strength], axis=-1))
    tokens = rng.integers(4, 40, examples)
    return Evidence(EXITS, np.stack(logits).astype(np.float32), labels, tokens, (1.0,) * 4)


@given(seed=st.integers(0, 10_000))
def test_thresholds_are_nested_along_the_dial(seed: int) -> None:
    points = Frontier(make_evidence(seed), Measure.MAX_PROB).points
    for dear, cheap in itertools.pairwise(points):
        assert all(a >= b for a, b in zip(dear.thresholds, cheap.thresholds, strict=True))


@given(seed=st.integers(0, 10_000), other=st.integers(0, 10_000))
def test_cost_falls_along_the_dial_on_data_never_seen(seed: int, other: int) -> None:
    unseen = make_evidence(other)
    costs = [
        simulate(unseen, point.thresholds, Measure.MAX_PROB).mean_cost
        for point in Frontier(make_evidence(seed), Measure.MAX_PROB).points
    ]
    assert costs == sorted(costs, reverse=True)


@given(seed=st.integers(0, 10_000), cost=st.floats(0.05, 1.0))
def test_a_cost_target_is_met_and_nearly_used_up(seed: int, cost: float) -> None:
    frontier = Frontier(make_evidence(seed), Measure.MAX_PROB)
    point = frontier.at_cost(cost)
    assert point.forecast.mean_cost <= cost
    dearest = frontier.points[0].forecast.mean_cost
    assert point.forecast.mean_cost >= min(cost, dearest) * 0.9 - 0.02


def test_a_cost_below_the_cheapest_point_is_refused_with_the_least_there_is() -> None:
    with pytest.raises(ValueError, match=r"below what this cascade can do: at least 0\.0"):
        Frontier(make_evidence(0), Measure.MAX_PROB).at_cost(0.001)


@given(
    scores=st.lists(st.sampled_from([0.1, 0.2, 0.5, 0.8, 0.9]), min_size=1, max_size=12),
    data=st.data(),
)
def test_best_threshold_matches_brute_force(scores: list[float], data: st.DataObject) -> None:
    values = st.lists(st.integers(-5, 5).map(float), min_size=len(scores), max_size=len(scores))
    score, advantage = np.asarray(scores), np.asarray(data.draw(values))
    found = best_threshold(score, advantage)
    stops = (score >= found) & (found < 1.0)
    candidates = [*sorted(set(scores)), 1.0]
    best = max(advantage[(score >= t) & (t < 1.0)].sum() for t in candidates)
    assert advantage[stops].sum() == pytest.approx(best)


@given(seed=st.integers(0, 500), price=st.floats(0.0, 1.0))
def test_backward_induction_beats_every_grid_of_one_exit_changed(seed: int, price: float) -> None:
    """No single threshold, moved while those behind it stay, gives a higher value."""
    evidence = make_evidence(seed, examples=40)
    scores, costs = evidence.confidences(Measure.MAX_PROB), evidence.costs()
    rewards = evidence.correct().astype(float)

    def value(thresholds: np.ndarray, start: int) -> float:
        """Total value of all examples, were they to enter the cascade at exit `start`."""
        exits = start + chosen_exits(scores[start:], thresholds[start:])
        rows = np.arange(scores.shape[1])
        return float((rewards[exits, rows] - price * costs[exits, rows]).sum())

    solved = solve(scores, rewards, costs, price)
    for exit_index in range(len(scores) - 1):
        for candidate in np.linspace(0.5, 1.0, 11):
            moved = solved.copy()
            moved[exit_index] = candidate
            assert value(moved, exit_index) <= value(solved, exit_index) + 1e-9
