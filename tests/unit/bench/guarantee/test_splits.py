"""Splits: parts that share nothing, and rows that count what happened on each of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.guarantee.splits import NAIVE, Case, Parting, PartingError, cases, splits
from bench.guarantee.tables import rows, tables
from offramp.decision.confidence import Measure
from offramp.decision.guarantee import Loss, certified
from offramp.decision.risk import Method
from offramp.decision.simulate import simulate
from offramp.decision.thresholds import ExitShares
from tests.unit.offramp.decision.test_frontier import make_evidence

POOL = make_evidence(0, 600)
MEASURE = Measure.MAX_PROB


def test_every_example_is_in_one_part_and_what_did_not_choose_is_among_the_others():
    numbered = replace(make_evidence(0, 50), tokens=np.arange(50))
    parts = Parting(0.2, 0.5).part(numbered, seed=3)
    found = [part.tokens.tolist() for part in (parts.choosing, parts.certifying, parts.test)]
    assert [len(part) for part in found] == [10, 25, 15]
    assert sorted([*found[0], *found[1], *found[2]]) == list(range(50))
    assert parts.others.tokens.tolist() == found[1] + found[2]
    assert parts.choosing.tokens.tolist() != list(range(10))


def test_shares_that_leave_no_test_part_are_refused():
    with pytest.raises(PartingError, match="sum to less than 1"):
        Parting(0.5, 0.5).sizes(100)


def test_a_result_is_what_certifying_gives_and_what_the_parts_say_of_it():
    case = Case(Loss.ACCURACY, 0.1, "ltt")
    (split,) = splits(POOL, [case], Parting(), 0.9, [5])
    parts = Parting().part(POOL, 5)
    family = ExitShares(parts.choosing, MEASURE)
    point, _ = certified(family, parts.certifying, case.terms(0.9))
    result = split.results[case]
    for part, loss in ((parts.others, result.others), (parts.test, result.test)):
        seen = simulate(part, point.thresholds, MEASURE)
        assert loss == pytest.approx(seen.full_depth_accuracy - seen.accuracy)
    assert result.speedup == simulate(parts.test, point.thresholds, MEASURE).speedup


def test_hindsight_stays_under_the_limit_and_the_next_point_does_not():
    limit = 0.03
    (split,) = splits(POOL, cases([limit]), Parting(), 0.9, [5])
    parts = Parting().part(POOL, 5)
    points = ExitShares(parts.choosing, MEASURE).points
    lost = [simulate(parts.others, p.thresholds, MEASURE) for p in points]
    above = [f.full_depth_accuracy - f.accuracy > limit for f in lost]
    best = points[above.index(True) - 1]
    expected = simulate(parts.test, best.thresholds, MEASURE).speedup
    assert split.hindsight[Loss.ACCURACY, limit] == expected


def test_a_row_counts_refusals_breaches_and_the_speed_kept():
    found = list(splits(POOL, cases([0.005, 0.05]), Parting(), 0.9, range(20)))
    by_case = {row.case: row for row in rows(found)}
    assert len(by_case) == 2 * 2 * 4
    thin = by_case[Case(Loss.DISAGREEMENT, 0.005, Method.LTT)]
    assert (thin.refused, thin.above, thin.speedup, thin.mean_loss) == (1.0, 0.0, None, None)
    assert thin.kept < 1
    bold = by_case[Case(Loss.DISAGREEMENT, 0.05, NAIVE)]
    safe = by_case[Case(Loss.DISAGREEMENT, 0.05, Method.LTT)]
    assert bold.refused == 0
    assert safe.above <= 0.1 < bold.above
    results = [split.results[safe.case] for split in found]
    assert safe.above_on_test == np.mean([r is not None and r.test > 0.05 for r in results])
    assert 0 < safe.kept < bold.kept
    shown = tables("X", list(by_case.values()), 0.1, Parting().sizes(600), "600 texts.")
    assert [len(table.rows) for table in shown] == [8, 8]
    assert "120 choosing, 240 certifying, 240 testing" in shown[0].title
    first = ["0.5", "Learn then Test", "100.0%", "0.0%", "0.0%", "–", "–"]
    assert shown[1].rows[0][:-1] == first
