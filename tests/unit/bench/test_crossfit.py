"""Curves on held-out halves: no example has a part in choosing its own thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from bench.crossfit import COSTS, accuracies, at, cheapest, curve, halves
from offramp.decision.confidence import Measure
from offramp.decision.frontier import Frontier
from tests.support.evidence import make_evidence


def test_halves_part_the_examples():
    one, other = halves(101, seed=3)
    assert sorted([*one, *other]) == list(range(101))
    assert abs(len(one) - len(other)) <= 1


def test_thresholds_come_from_the_other_half_only():
    evidence = make_evidence(3, examples=400)
    laid_on = []

    def lay(choosing, measure):
        laid_on.append(choosing)
        return Frontier(choosing, measure)

    found = curve(evidence, lay, Measure.MAX_PROB, seed=1)
    one, other = laid_on
    assert one.tokens.sum() + other.tokens.sum() == evidence.tokens.sum()
    sides = [accuracies(Frontier(a, Measure.MAX_PROB), b, Measure.MAX_PROB)
             for a, b in ((one, other), (other, one))]  # fmt: skip
    np.testing.assert_allclose(found, np.mean(sides, axis=0))


def test_on_its_own_examples_a_family_is_its_forecast():
    evidence = make_evidence(3, examples=500)
    family = Frontier(evidence, Measure.MAX_PROB)
    found = accuracies(family, evidence, Measure.MAX_PROB)
    point = family.points[len(family.points) // 2].forecast
    assert at(found, point.mean_cost) == pytest.approx(point.accuracy, abs=0.01)


def test_a_cost_that_a_family_cannot_meet_has_no_accuracy():
    evidence = make_evidence(3, examples=200)
    family = Frontier(evidence, Measure.MAX_PROB)
    found = accuracies(family, evidence, Measure.MAX_PROB)
    least = family.points[-1].forecast.mean_cost
    assert np.isnan(found[least > COSTS]).all()
    assert not np.isnan(found[least <= COSTS]).any()


def test_beyond_the_dearest_point_nothing_more_is_spent():
    evidence = make_evidence(3, examples=200)
    family = Frontier(evidence, Measure.MAX_PROB)
    found = accuracies(family, evidence, Measure.MAX_PROB)
    assert found[-1] == pytest.approx(family.points[0].forecast.accuracy, abs=0.01)


def test_cheapest_is_the_least_cost_that_is_so_accurate():
    found = np.linspace(0.5, 0.9, len(COSTS))
    bar = found[7] - 1e-6
    assert cheapest(found, bar) == COSTS[7]
    assert cheapest(found, 0.95) is None
    assert cheapest(np.full(len(COSTS), np.nan), 0.5) is None
