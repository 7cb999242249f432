"""Ranking quality: known cases, ties, and freedom from everything but the order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.decision.ranking import area_under_risk_coverage, auroc, excess_area, risk_coverage

cases = st.lists(
    st.tuples(st.sampled_from([0.1, 0.4, 0.5, 0.9, 1.0]), st.booleans()), min_size=1, max_size=12
)


def split(case: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    confidences, correct = zip(*case, strict=True)
    return np.asarray(confidences), np.asarray(correct)


@given(cases)
def test_auroc_is_the_share_of_pairs_in_the_right_order(case: list[tuple[float, bool]]) -> None:
    confidences, correct = split(case)
    pairs = [
        1.0 if right > wrong else 0.5 if right == wrong else 0.0
        for right in confidences[correct]
        for wrong in confidences[~correct]
    ]
    assert auroc(confidences, correct) == pytest.approx(np.mean(pairs) if pairs else 0.5)


@given(cases)
def test_risk_at_full_coverage_is_the_error(case: list[tuple[float, bool]]) -> None:
    confidences, correct = split(case)
    risks = risk_coverage(confidences, correct)
    assert len(risks) == len(correct)
    assert risks[-1] == pytest.approx(1 - correct.mean())


@given(cases, st.randoms())
def test_neither_row_order_nor_a_rising_map_changes_anything(
    case: list[tuple[float, bool]], random
) -> None:
    confidences, correct = split(case)
    random.shuffle(case)
    shuffled, also_correct = split(case)
    for measure in (auroc, area_under_risk_coverage, excess_area):
        assert measure(confidences, correct) == pytest.approx(measure(shuffled, also_correct))
        assert measure(confidences, correct) == pytest.approx(measure(confidences**3 / 7, correct))


@given(cases)
def test_no_order_has_less_excess_than_the_perfect_one(case: list[tuple[float, bool]]) -> None:
    confidences, correct = split(case)
    assert excess_area(confidences, correct) >= -1e-12
    assert excess_area(correct.astype(float), correct) == pytest.approx(0.0)


def test_a_curve_by_hand() -> None:
    confidences = np.asarray([0.9, 0.8, 0.7, 0.6])
    correct = np.asarray([True, False, True, False])
    assert risk_coverage(confidences, correct) == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert area_under_risk_coverage(confidences, correct) == pytest.approx(1 / 3)
    # Perfect: right, right, wrong, wrong, with risks 0, 0, 1/3, 1/2.
    assert excess_area(confidences, correct) == pytest.approx(1 / 3 - 5 / 24)
    assert auroc(confidences, correct) == 0.75


def test_equal_confidences_are_as_good_as_a_coin() -> None:
    correct = np.asarray([True, False, False, True])
    assert auroc(np.ones(4), correct) == 0.5
    assert risk_coverage(np.ones(4), correct) == pytest.approx([0.5] * 4)
