"""Parting: every example in one part, by label, in the shares asked for, and never too few."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.parting import (
    LEAST_PER_PART,
    TooFewToCalibrateError,
    deal,
    folds,
    least_held_out,
    part,
)

labels = st.lists(st.integers(0, 6), min_size=1, max_size=200).map(np.asarray)
seeds = st.integers(0, 1000)


@given(labels, seeds)
def test_parts_have_their_share_of_every_label(found: np.ndarray, seed: int) -> None:
    shares = (0.5, 0.3, 0.2)
    dealt = deal(found, shares, seed)
    for share, number in zip(shares, range(3), strict=True):
        assert abs((dealt == number).sum() - share * len(found)) <= 1
        for label in np.unique(found):
            here = found == label
            assert abs((dealt[here] == number).sum() - share * here.sum()) <= 2


@given(labels, seeds)
def test_every_example_is_tested_on_once_and_never_fitted_on_then(
    found: np.ndarray, seed: int
) -> None:
    tested = []
    for train, test in folds(found, 5, seed):
        assert set(train) | set(test) == set(range(len(found)))
        assert not set(train) & set(test)
        tested += test.tolist()
    assert sorted(tested) == list(range(len(found)))


def test_the_seed_decides_and_nothing_else() -> None:
    found = np.arange(300) % 3
    first, again, other = (part(found, 0.4, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.readouts, again.readouts)
    assert not np.array_equal(first.readouts, other.readouts)


@given(share=st.floats(0.15, 0.8), classes=st.integers(2, 30))
def test_as_many_as_the_refusal_asks_for_are_enough(share: float, classes: int) -> None:
    least = least_held_out(share)
    parts = part(np.arange(least) % classes, share, seed=0)
    sizes = [len(parts.readouts), len(parts.choosing), len(parts.certifying)]
    assert min(sizes) >= LEAST_PER_PART
    assert sum(sizes) == least
    with pytest.raises(TooFewToCalibrateError, match=f"at least {least} are needed"):
        part(np.arange(least - 1) % classes, share, seed=0)
