"""Consensus: the pool of all exits, and a loss that is expected by them instead of counted."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, softmax

from offramp.decision.confidence import Measure
from offramp.decision.consensus import consensus
from offramp.decision.cost import CostCurve, ExitCost
from offramp.decision.evidence import Evidence
from offramp.decision.readout import Readout
from offramp.decision.simulate import simulate


@st.composite
def opinions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (E, N, C) of any exits, and labels that may have nothing to do with them."""
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 30)), draw(st.integers(2, 4)))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    logits = draw(st.sampled_from([0.1, 1.0, 10.0, 100.0])) * rng.normal(size=shape)
    return softmax(logits, axis=-1), rng.integers(0, shape[2], shape[1])


@given(opinions())
def test_the_pool_fits_the_labels_no_worse_than_the_last_exit(
    case: tuple[np.ndarray, np.ndarray],
) -> None:
    probabilities, labels = case
    found, rows = consensus(probabilities, labels), np.arange(len(labels))
    assert found.shape == probabilities.shape[1:]
    assert found.sum(axis=-1) == pytest.approx(1.0)
    told = np.log(np.maximum(probabilities[-1][rows, labels], 1e-12)).sum()
    assert np.log(np.maximum(found[rows, labels], 1e-300)).sum() >= told - 1e-6


@given(opinions(), st.randoms())
def test_the_order_of_earlier_exits_does_not_matter(
    case: tuple[np.ndarray, np.ndarray], random: Random
) -> None:
    probabilities, labels = case
    order = list(range(len(probabilities) - 1))
    random.shuffle(order)
    other = consensus(probabilities[[*order, len(probabilities) - 1]], labels)
    assert other == pytest.approx(consensus(probabilities, labels), abs=1e-3)


def test_exits_that_know_of_nothing_in_common_are_counted_one_by_one() -> None:
    """Then the log-odds add up, which is what Bayes says."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 20_000)
    seen = [strength * (2 * labels - 1) + rng.normal(size=20_000) for strength in (0.6, 1.0)]
    margins = np.stack([2 * strength * x for strength, x in zip((0.6, 1.0), seen, strict=True)])
    second = expit(margins)
    found = consensus(np.stack([1 - second, second], axis=-1), labels)
    assert found[:, 1] == pytest.approx(expit(margins.sum(axis=0)), abs=0.03)


def test_a_single_label_moves_little() -> None:
    probabilities = np.asarray([[[0.2, 0.8]], [[0.7, 0.3]]])
    for label in (0, 1):
        assert consensus(probabilities, np.asarray([label]))[0, 0] == pytest.approx(0.7, abs=0.1)


def drawn(rng: np.random.Generator, examples: int) -> Evidence:
    """Two exits that see the same through noise of their own, and say how likely the label is."""
    labels = rng.integers(0, 2, examples)
    common = 2 * labels - 1 + rng.normal(size=examples)
    logits = []
    for noise in (0.8, 0.5):
        variance = 1 + noise**2
        margin = (common + noise * rng.normal(size=examples)) / variance
        logits.append(np.stack([-margin, margin], axis=-1))
    return Evidence(
        exits=(
            ExitCost("small", "small", CostCurve(0.0, 1.0)),
            ExitCost("large", "large", CostCurve(0.0, 20.0)),
        ),
        logits=np.stack(logits).astype(np.float32),
        labels=labels,
        tokens=np.full(examples, 20),
        readouts=(Readout(), Readout()),
        certifies=np.zeros(examples, dtype=bool),
    )


def test_what_is_expected_is_nearer_to_the_truth_than_what_is_counted() -> None:
    rng = np.random.default_rng(0)
    thresholds = (0.6, 0.0)
    whole = simulate(drawn(rng, 200_000), thresholds, Measure.MAX_PROB)
    truth = whole.full_depth_accuracy - whole.accuracy
    assert whole.expected_loss == pytest.approx(truth, abs=0.002)
    forecasts = [simulate(drawn(rng, 300), thresholds, Measure.MAX_PROB) for _ in range(200)]
    counted = np.asarray([one.full_depth_accuracy - one.accuracy for one in forecasts])
    expected = np.asarray([one.expected_loss for one in forecasts])
    assert np.mean((expected - truth) ** 2) < 0.5 * np.mean((counted - truth) ** 2)
    # The prior, which believes the last exit, errs on the careful side.
    assert truth - 0.002 < expected.mean() < truth + 0.008
