"""The verdict: the fastest of those that kept the limit, and where the combination is behind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.papers.verdict import Reached, behind, best, gaps, level, worst
from training.compare.cascade import Outcome
from training.compare.methods import OURS, Method
from training.compare.ways import Measured, Way

OTHER = Method("other", "", lambda evidence: [])


def reached(method: str, lost: float, wall: float, spread: float = 0.0) -> Reached:
    return Reached(method, 0.005, lost, 0.001, wall, wall, spread)


def way(method: Method, *points: tuple[float, float], examples: int = 1000) -> Way:
    """A method that is right on the first share of the examples, by (speedup, accuracy)."""
    nothing = Outcome(np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros(0))
    measured = tuple(
        Measured(nothing, np.arange(examples) < accuracy * examples, speedup)
        for speedup, accuracy in points
    )
    losses = tuple(0.95 - accuracy for _, accuracy in points)
    return Way(method, (), losses, (), measured)


def test_the_best_is_the_fastest_that_kept_the_limit():
    points = [reached("slow", 0.0, 2.0), reached("fast", 0.004, 5.0), reached("loose", 0.02, 9.0)]
    assert best(points).method == "fast"


def test_a_loss_within_a_standard_error_of_the_limit_is_kept():
    assert reached("near", 0.0058, 2.0).kept
    assert not reached("far", 0.0062, 2.0).kept


def test_methods_are_level_where_rounds_differ_by_more_than_they_do():
    assert level(reached("one", 0.0, 9.8, spread=0.03), reached("other", 0.0, 10.0))
    assert not level(reached("one", 0.0, 9.5, spread=0.03), reached("other", 0.0, 10.0))


def test_where_all_lose_too_much_nobody_is_best():
    assert best([reached("loose", 0.02, 9.0)]) is None


def test_the_combination_is_compared_with_the_best_of_the_others_at_equal_speedup():
    ours = way(OURS, (1.0, 0.9), (2.0, 0.9), (4.0, 0.8))
    weak = way(OTHER, (1.0, 0.7), (4.0, 0.7))
    strong = way(Method("strong", "", lambda evidence: []), (1.0, 0.9), (4.0, 0.85))
    found = {round(gap.speedup, 2): gap for gap in gaps([[ours, weak, strong]])}
    assert {gap.other for gap in found.values()} == {"strong"}
    assert found[1.0].ahead == pytest.approx(0.0)
    assert found[4.0].ahead == found[4.0].expected == pytest.approx(-0.05)
    assert max(found) <= 4.0


def test_behind_counts_only_what_exceeds_the_noise():
    ours, other = way(OURS, (4.0, 0.88), examples=50), way(OTHER, (4.0, 0.92), examples=50)
    assert len(behind(gaps([[ours, other]]))) == len(gaps([[ours, other]])) > 0
    # The same difference, where either is often right and the other is wrong.
    mirrored = replace(other, measured=(replace(m := other.measured[0], right=m.right[::-1]),))
    assert behind(gaps([[ours, mirrored]])) == ()
    assert worst(gaps([[ours, mirrored]])).ahead == pytest.approx(-0.04)


def test_seeds_are_averaged():
    lucky = [way(OURS, (2.0, 0.9)), way(OTHER, (2.0, 0.8))]
    unlucky = [way(OURS, (2.0, 0.7)), way(OTHER, (2.0, 0.8))]
    assert worst(gaps([lucky, unlucky])).ahead == pytest.approx(0.0)
