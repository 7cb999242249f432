"""Draws: what solves the thresholds counts no loss, and both rules keep what they promise there."""

from __future__ import annotations

import pytest

from bench.expected.draws import RULES, Case, counted, draws, expected
from offramp.decision.confidence import Measure
from offramp.decision.family import ROUNDING
from offramp.decision.frontier import Frontier
from offramp.decision.plan import NEVER
from offramp.decision.simulate import simulate
from tests.unit.offramp.decision.test_frontier import make_evidence

POOL = make_evidence(0, 400)


def test_every_case_is_tried_on_every_draw_and_the_same_seed_draws_the_same():
    found = list(draws(POOL, (50, 100), (0.0, 0.02), range(3)))
    cases = {
        Case(size, limit, rule) for size in (50, 100) for limit in (0.0, 0.02) for rule in RULES
    }
    assert [set(one) for one in found] == [cases] * 3
    assert found[1] == next(iter(draws(POOL, (50, 100), (0.0, 0.02), [1])))
    assert found[0] != found[1]


@pytest.mark.parametrize("limit", [0.0, 0.01, 0.05])
def test_each_rule_keeps_the_limit_by_its_own_measure(limit):
    family = Frontier(POOL, Measure.MAX_PROB)
    by_consensus = simulate(POOL, expected(family, limit), Measure.MAX_PROB)
    assert by_consensus.expected_loss <= limit + ROUNDING
    by_labels = simulate(POOL, counted(family, limit), Measure.MAX_PROB)
    assert by_labels.full_depth_accuracy - by_labels.accuracy <= limit + ROUNDING


def test_where_the_dearest_thresholds_lose_too_much_nothing_answers_early():
    family = Frontier(POOL, Measure.MAX_PROB)
    assert counted(family, -1.0) == (NEVER,) * 4


def test_what_may_lose_everything_costs_least():
    (found,) = draws(POOL, (100,), (0.0, 0.9), [0])
    for rule in RULES:
        assert found[Case(100, 0.9, rule)].cost < found[Case(100, 0.0, rule)].cost
