"""Bootstrap intervals: around the mean, as wide as the theory says, paired where they should be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.report.bootstrap import bands, interval


@given(seed=st.integers(0, 1000), count=st.integers(2, 60))
def test_the_bounds_hold_the_mean_and_stay_within_the_values(seed, count):
    values = np.random.default_rng(seed).random(count)
    found = interval(values)
    assert values.min() <= found.low <= found.mean + 1e-9
    assert found.mean - 1e-9 <= found.high <= values.max()


def test_the_width_is_that_of_the_normal_approximation():
    values = np.arange(2000) % 10 == 0
    found = interval(values)
    assert found.mean == pytest.approx(0.1)
    half = 1.96 * np.sqrt(0.1 * 0.9 / 2000)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.12)


def test_the_same_answers_differ_by_nothing_and_surely():
    right = np.arange(50) % 3 == 0
    low, high = bands(np.stack([right.astype(float) - right, right]))
    assert (low[0], high[0]) == (0.0, 0.0)
    assert low[1] < high[1]


def test_the_same_values_give_the_same_bounds():
    values = np.random.default_rng(3).random(40)
    assert interval(values) == interval(values)
