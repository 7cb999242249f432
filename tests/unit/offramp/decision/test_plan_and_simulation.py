"""The exit rule, and the simulation that must follow it to the letter."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from offramp.decision.confidence import Measure
from offramp.decision.plan import ExitPlan
from offramp.decision.simulate import chosen_exits, simulate
from tests.unit.offramp.decision.test_frontier import EXITS, make_evidence

NAMES = tuple(e.name for e in EXITS)


@given(seed=st.integers(0, 500), thresholds=st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_simulation_follows_the_rule_that_tiers_apply(seed: int, thresholds: list[float]) -> None:
    confidences = make_evidence(seed, examples=30).confidences(Measure.MAX_PROB)
    plan = ExitPlan(MappingProxyType(dict(zip(NAMES, thresholds, strict=True))), NAMES[-1])
    expected = [
        next(
            (i for i, name in enumerate(NAMES[:-1]) if plan.passes(name, float(column[i]))),
            len(NAMES) - 1,
        )
        for column in confidences.T
    ]
    assert chosen_exits(confidences, thresholds).tolist() == expected


def test_a_threshold_of_one_is_never_passed_even_by_certainty() -> None:
    plan = ExitPlan(MappingProxyType({"small": 1.0}), "small")
    assert not plan.passes("small", 1.0)
    assert chosen_exits(np.ones((2, 3)), [1.0, 1.0]).tolist() == [1, 1, 1]


def test_an_exit_without_a_threshold_is_never_passed() -> None:
    assert not ExitPlan(MappingProxyType({}), "small").passes("small", 1.0)


def test_always_stopping_costs_the_first_exit_and_never_stopping_costs_them_all() -> None:
    evidence = make_evidence(1)
    cheapest = simulate(evidence, (0.0,) * 4, Measure.MAX_PROB)
    dearest = simulate(evidence, (1.0,) * 4, Measure.MAX_PROB)
    assert cheapest.escalation_ratio == 0.0
    assert cheapest.mean_cost == evidence.costs()[0].mean()
    assert dearest.escalation_ratio == 1.0
    assert dearest.mean_cost > 1.0  # full depth, and the small tier's look besides
    assert dearest.accuracy == dearest.full_depth_accuracy
    assert sum(dearest.exit_shares.values()) == 1.0
