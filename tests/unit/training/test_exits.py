"""The choice of exits: the search against a plain one, and what it should and should not keep."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.decision.confidence import Measure
from offramp.decision.frontier import agreement, solve
from offramp.decision.ordering import Ordering
from offramp.decision.simulate import chosen_exits
from tests.support.evidence import make_evidence
from training.exits import PRICES, Chooser, choose, costs_by_set

cascades = st.builds(
    make_evidence,
    exits=st.integers(1, 4),
    examples=st.integers(5, 60),
    seed=st.integers(0, 10**6),
    small=st.booleans(),
    noise=st.floats(0.0, 2.0),
)
overheads = st.sampled_from([0.0, 0.003, 0.1])


def plain_cost(evidence, found, overhead) -> float:
    """Expected cost at no loss, worked out exit set by exit set with the frontier's own solver."""
    before = sum(e.tier == "small" for e in evidence.exits)
    rows = [*range(before), *(before + e for e in found)]
    passed = np.maximum(np.arange(len(rows)) - before + 1, 0)
    costs = evidence.costs()[rows] + overhead * passed[:, None]
    scores = evidence.confidences(Measure.MAX_PROB)[rows]
    rewards, right = agreement(evidence)[rows], evidence.correct()[rows]
    orderings = [Ordering.of(exit_scores) for exit_scores in scores]
    examples, able = np.arange(len(evidence.labels)), [costs[-1].mean()]
    for price in PRICES[1:]:
        chosen = chosen_exits(scores, solve(orderings, rewards - price * costs))
        if right[chosen, examples].mean() >= right[-1].mean():
            able.append(costs[chosen, examples].mean())
    return min(able)


@settings(max_examples=25)
@given(evidence=cascades, overhead=overheads)
def test_costs_of_all_sets_are_those_of_a_plain_search(evidence, overhead) -> None:
    chooser = Chooser(evidence, overhead, Measure.MAX_PROB)
    found = costs_by_set(chooser)
    last = chooser.exits - 1
    every = [(*c, last) for n in range(last + 1) for c in combinations(range(last), n)]
    assert sorted(found) == sorted(every)
    for chosen, cost in found.items():
        assert cost == pytest.approx(plain_cost(evidence, chosen, overhead), rel=1e-9)
        assert cost == pytest.approx(chooser.cost(chosen), rel=1e-12)


@settings(max_examples=25)
@given(evidence=cascades, overhead=overheads, tolerance=st.sampled_from([0.0, 0.02, 0.3]))
def test_no_smaller_set_is_within_the_tolerance(evidence, overhead, tolerance) -> None:
    costs = costs_by_set(Chooser(evidence, overhead, Measure.MAX_PROB))
    chosen = choose(evidence, overhead, tolerance)
    bound = (1 + tolerance) * min(costs.values())
    assert costs[chosen] <= bound
    for other, cost in costs.items():
        if cost <= bound:
            assert (len(chosen), costs[chosen]) <= (len(other), cost)


@settings(max_examples=15)
@given(evidence=cascades, overhead=overheads)
def test_the_greedy_search_walks_down_to_the_last_exit(evidence, overhead) -> None:
    chooser = Chooser(evidence, overhead, Measure.MAX_PROB)
    every, greedy = costs_by_set(chooser), costs_by_set(chooser, most_exhaustive=0)
    assert [len(found) for found in greedy] == list(range(chooser.exits, 0, -1))
    assert all(cost == pytest.approx(every[found]) for found, cost in greedy.items())


def test_a_deep_model_is_searched_in_reasonable_time() -> None:
    chosen = choose(make_evidence(exits=16, examples=400))
    assert chosen[-1] == 15
    assert len(chosen) < 16


def test_exits_that_cost_more_than_they_save_go() -> None:
    evidence = make_evidence(exits=5, examples=400)
    freely = choose(evidence, overhead=0.0, tolerance=0.0)
    assert len(choose(evidence, overhead=0.2)) < len(freely)
    assert len(choose(evidence, overhead=0.0, tolerance=0.5)) < len(freely)


def test_an_exit_that_says_nothing_goes() -> None:
    evidence = make_evidence(exits=4, examples=400, noise=0.3)
    assert 1 in choose(evidence, overhead=0.0, tolerance=0.0)
    silent = evidence.logits.copy()
    silent[2] = 0.0  # large@2: position 1 of the tier
    assert 1 not in choose(replace(evidence, logits=silent))
