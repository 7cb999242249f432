"""Orderings: thresholds that part what can be parted, and the best of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.decision.ordering import Ordering

SCORES = st.lists(st.sampled_from([0.1, 0.2, 0.5, 0.8, 0.9, 1.0]), min_size=1, max_size=12)


def leaving(scores: np.ndarray, threshold: float) -> np.ndarray:
    return (scores >= threshold) & (threshold < 1.0)


@given(SCORES)
def test_the_threshold_of_a_cut_lets_just_that_many_leave(found: list[float]) -> None:
    scores = np.asarray(found)
    ordering = Ordering.of(scores)
    numbers = [leaving(scores, ordering.threshold(int(cut))).sum() for cut in ordering.cuts]
    assert numbers == ordering.cuts.tolist()
    assert len(numbers) == len(set(found)) + 1


@given(SCORES, st.data())
def test_the_best_threshold_matches_brute_force(found: list[float], data: st.DataObject) -> None:
    values = st.lists(st.integers(-5, 5).map(float), min_size=len(found), max_size=len(found))
    scores, advantage = np.asarray(found), np.asarray(data.draw(values))
    threshold = Ordering.of(scores).best_threshold(advantage)
    candidates = [*sorted(set(found) - {1.0}), 1 - 1e-12, 1.0]
    best = max(advantage[leaving(scores, t)].sum() for t in candidates)
    assert advantage[leaving(scores, threshold)].sum() == pytest.approx(best)


def test_of_equally_good_thresholds_the_higher_one_is_taken() -> None:
    ordering = Ordering.of(np.asarray([0.9, 0.6, 0.3]))
    assert ordering.best_threshold(np.zeros(3)) == 1.0
    assert ordering.best_threshold(np.asarray([1.0, 0.0, 0.0])) == 0.75
    assert ordering.best_threshold(np.ones(3)) == 0.0
