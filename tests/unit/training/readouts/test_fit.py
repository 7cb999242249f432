"""Readouts of a cascade: exits mixed where that helps, and scores that know when to go on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.decision.calibration import log_loss
from offramp.decision.confidence import Measure
from offramp.decision.ranking import auroc
from offramp.decision.readout import Readout
from training.readouts import fit
from training.readouts.mixing import fit_mix, pick_mix
from training.readouts.scores import fit_score
from training.readouts.selection import is_clearly_better


def independent_exits(examples: int, strengths: list[float], seed: int) -> tuple:
    """Binary logits (E, N, 2) whose errors are independent of each other, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, examples)
    signs = 2 * labels - 1
    seen = [rng.normal(size=examples) + strength * signs for strength in strengths]
    logits = [np.stack([-s * x, s * x], axis=1) for s, x in zip(strengths, seen, strict=True)]
    return np.stack(logits).astype(np.float32), labels


def test_independent_exits_are_mixed_as_they_deserve() -> None:
    logits, labels = independent_exits(4000, [1.0, 1.0], seed=0)
    # Log-likelihood ratios of independent views add up: both weigh the same.
    assert pick_mix(logits, labels, seed=0) == pytest.approx((0.5, 0.5), abs=0.06)


def test_an_exit_that_has_seen_all_is_left_alone() -> None:
    logits, labels = independent_exits(1000, [1.5], seed=1)
    noise = np.random.default_rng(2).normal(size=logits.shape).astype(np.float32)
    assert pick_mix(np.concatenate([noise, logits]), labels, seed=0) is None
    assert pick_mix(logits, labels, seed=0) is None


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(2, 4))
def test_weights_are_a_share_of_each_exit(seed: int, depth: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, 60)
    weights = fit_mix(rng.normal(scale=3, size=(depth, 60, 3)), labels)
    assert len(weights) == depth
    assert min(weights) >= 0
    assert sum(weights) == pytest.approx(1.0)


def test_a_readout_per_exit_each_within_its_tier() -> None:
    logits, labels = independent_exits(2000, [0.8, 1.0, 1.2, 1.4], seed=3)
    found = fit(logits, labels, tiers=(1, 3), seed=0)
    mixes = [readout.mix for readout in found]
    assert mixes[:2] == [None, None]  # the first of their tiers have nothing to mix with
    assert [len(mix or ()) for mix in mixes[2:]] == [2, 3]
    before = log_loss(Readout().probabilities(logits[-1:]), labels).mean()
    assert log_loss(found[-1].probabilities(logits[1:]), labels).mean() < before - 0.05
    assert found == fit(logits, labels, tiers=(1, 3), seed=0)


def test_the_learned_score_sees_what_the_exit_before_knew() -> None:
    """The second exit's certainty says nothing; its agreement with the first says all."""
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, 3000)
    right = rng.random(3000) < 0.8
    answers = np.where(right, labels, 1 - labels)
    first = np.where(rng.random(3000) < 0.9, labels, 1 - labels)
    history = np.stack([3.0 * np.eye(2)[first], np.eye(2)[answers]])
    probabilities = Readout().probabilities(history)
    score = fit_score(probabilities, history, stay=right)
    learned = score.of(probabilities, history)
    assert auroc(learned, right) > 0.85
    assert auroc(probabilities.max(axis=1), right) < 0.55


def test_the_score_is_the_chance_that_going_on_gains_nothing() -> None:
    rng = np.random.default_rng(5)
    history = rng.normal(scale=2, size=(1, 20_000, 2))
    probabilities = Readout().probabilities(history)
    chance = 0.5 + 0.5 * (2 * probabilities.max(axis=1) - 1)
    stay = rng.random(20_000) < chance
    learned = fit_score(probabilities, history, stay).of(probabilities, history)
    for low in (0.5, 0.7, 0.9):
        here = (chance >= low) & (chance < low + 0.1)
        assert learned[here].mean() == pytest.approx(stay[here].mean(), abs=0.02)


@pytest.mark.parametrize("stays", [True, False])
def test_a_part_of_one_kind_alone_does_not_make_it_certain(*, stays: bool) -> None:
    history = np.random.default_rng(6).normal(size=(1, 50, 2))
    probabilities = Readout().probabilities(history)
    score = fit_score(probabilities, history, np.full(50, stays))
    learned = score.of(probabilities, history)
    assert learned == pytest.approx(51 / 52 if stays else 1 / 52, abs=1e-3)


def test_scores_of_a_cascade_rank_what_it_gains_by_going_on() -> None:
    logits, labels = independent_exits(6000, [0.7, 1.0, 2.0], seed=7)
    found = fit(logits[:, :3000], labels[:3000], tiers=(1, 2), seed=0)
    test, truth = logits[:, 3000:], labels[3000:]
    last = found[2].probabilities(test[1:]).argmax(axis=1) == truth
    own = found[0].probabilities(test[:1]).argmax(axis=1) == truth
    learned = found[0].confidence(test[:1], Measure.LEARNED)
    assert auroc(learned, own | ~last) > 0.6


def test_clearly_better_means_by_more_than_a_standard_error() -> None:
    rng = np.random.default_rng(8)
    noise = rng.normal(size=400)
    error = noise.std(ddof=1) / 20
    centred = noise - noise.mean()
    assert is_clearly_better(np.zeros(400), centred + 1.1 * error)
    assert not is_clearly_better(np.zeros(400), centred + 0.9 * error)
    assert not is_clearly_better(np.zeros(400), np.zeros(400))


@given(st.integers(0, 1000))
def test_more_certainty_never_lowers_a_score(seed: int) -> None:
    rng = np.random.default_rng(seed)
    history = rng.normal(size=(2, 40, 2))
    probabilities = Readout().probabilities(history)
    # Nothing to learn: whether to stay is a coin, whatever the features say.
    score = fit_score(probabilities, history, stay=rng.random(40) < 0.8)
    assert min(score.weights) >= 0


def test_what_no_exit_would_get_right_is_no_reason_to_go_on() -> None:
    """Half of the texts are wrong at the first exit, and wrong at the last: nothing to gain."""
    rng = np.random.default_rng(9)
    labels = rng.integers(0, 2, 2000)
    hopeless = rng.random(2000) < 0.5
    seen = np.where(hopeless, 1 - labels, labels)
    logits = np.stack([4.0 * np.eye(2)[seen]] * 2)
    found = fit(logits, labels, tiers=(1, 1), seed=0)
    learned = found[0].confidence(logits[:1], Measure.LEARNED)
    assert learned.min() > 0.99
    # At the last exit there is nothing to go on to: whether it is right.
    last = found[1].confidence(logits[1:], Measure.LEARNED)
    assert last == pytest.approx(0.5, abs=0.05)
