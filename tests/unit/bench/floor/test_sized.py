"""Thresholds that make texts leave where others left."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench.floor.sized import thresholds
from offramp.decision.plan import NEVER
from offramp.decision.simulate import chosen_exits


@given(st.integers(0, 1000), st.lists(st.integers(0, 20), min_size=2, max_size=5))
def test_as_many_leave_at_each_exit_as_are_to(seed, counts):
    texts = sum(counts)
    if not texts:
        return
    confidences = np.random.default_rng(seed).uniform(0.5, 1.0, size=(len(counts), texts))
    found = thresholds(confidences, [count / texts for count in counts])
    left = np.bincount(chosen_exits(confidences, found), minlength=len(counts))
    assert left.tolist() == counts


def test_nobody_leaves_at_an_exit_without_a_share():
    confidences = np.full((3, 4), 0.9)
    assert thresholds(confidences, [0.0, 0.0, 1.0]) == (NEVER, NEVER, 0.0)
