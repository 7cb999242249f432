"""Expected cost at no loss: bounded, and less a matter of luck than on a single draw."""

from __future__ import annotations

import numpy as np

from tests.support.evidence import make_evidence
from training.expected_cost import at_no_loss, expected_at_no_loss


def test_it_varies_less_from_sample_to_sample_than_the_cost_on_the_sample_itself() -> None:
    samples = [make_evidence(3, 200, seed=seed) for seed in range(12)]
    expected = [expected_at_no_loss(sample) for sample in samples]
    single = [at_no_loss(sample) for sample in samples]
    assert np.std(expected) < 0.8 * np.std(single)


def test_it_is_never_more_than_full_depth_nor_less_than_the_first_exit() -> None:
    for seed in range(5):
        sample = make_evidence(3, 60, seed=seed)
        costs = sample.costs().mean(axis=1)
        assert costs[0] - 1e-9 <= expected_at_no_loss(sample) <= costs[-1] + 1e-9
