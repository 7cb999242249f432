"""Readouts: mixing, calibrating and scoring the logits of a tier's exits, row by row."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from offramp.decision.calibrators import Temperature
from offramp.decision.confidence import MEASURES, Measure, confidence
from offramp.decision.learned import LearnedScore, features
from offramp.decision.readout import Readout, readout_from
from tests.unit.offramp.decision.test_calibrators import CLASSES, calibrators

DEPTH, ROWS = 3, 5
weights = st.floats(0, 2)
scores = st.builds(LearnedScore, st.tuples(*[st.floats(-3, 3)] * 5), st.floats(-3, 3))
readouts = st.builds(
    Readout,
    calibrators,
    st.none() | st.lists(weights, min_size=1, max_size=DEPTH).map(tuple),
    st.none() | scores,
)
histories = arrays(np.float32, (DEPTH, ROWS, CLASSES), elements=st.floats(-20, 20, width=32))


@given(readouts, histories, st.permutations(range(ROWS)))
def test_rows_are_read_by_themselves(readout: Readout, history: np.ndarray, order: list) -> None:
    found = readout.probabilities(history)
    assert found.sum(axis=1) == pytest.approx(np.ones(ROWS))
    assert readout.probabilities(history[:, order]) == pytest.approx(found[order], abs=1e-12)
    for measure in MEASURES if readout.score is None else Measure:
        whole = readout.confidence(history, measure)
        assert ((whole >= 0) & (whole <= 1)).all()
        assert readout.confidence(history[:, order], measure) == pytest.approx(
            whole[order], abs=1e-9
        )


@given(readouts, histories)
def test_no_exit_further_back_than_its_depth_counts(readout: Readout, history: np.ndarray) -> None:
    recent = history[-readout.depth :]
    assert np.array_equal(readout.probabilities(recent), readout.probabilities(history))
    if readout.score is not None and readout.depth > 1:
        learned = readout.confidence(recent, Measure.LEARNED)
        assert np.array_equal(learned, readout.confidence(history, Measure.LEARNED))


@given(calibrators, histories)
def test_a_mix_of_one_exit_is_that_exit(calibrator, history: np.ndarray) -> None:
    alone = Readout(calibrator).probabilities(history)
    assert Readout(calibrator, mix=(1.0,)).probabilities(history) == pytest.approx(alone, abs=1e-9)
    ignoring = Readout(calibrator, mix=(0.0, 0.0, 1.0))
    assert ignoring.probabilities(history) == pytest.approx(alone, abs=1e-9)


@given(readouts)
def test_readouts_come_back_from_json(readout: Readout) -> None:
    assert readout_from(json.loads(json.dumps(asdict(readout)))) == readout


def test_a_mix_weighs_the_exits_before() -> None:
    history = np.asarray([[[2.0, 0.0]], [[0.0, 1.0]]])
    mixed = Readout(Temperature(), mix=(0.5, 1.0)).probabilities(history)
    assert mixed == pytest.approx(np.asarray([[0.5, 0.5]]))


@pytest.mark.parametrize("measure", list(MEASURES))
def test_plain_measures_are_those_of_the_probabilities(measure: Measure) -> None:
    history = np.random.default_rng(0).normal(size=(2, ROWS, CLASSES))
    readout = Readout(Temperature(0.5), mix=(1.0, 1.0))
    expected = confidence(readout.probabilities(history), measure)
    assert np.array_equal(readout.confidence(history, measure), expected)


def test_without_a_score_the_learned_measure_is_an_error() -> None:
    with pytest.raises(ValueError, match="no learned score"):
        Readout().confidence(np.zeros((1, 2, 2)), Measure.LEARNED)


def test_features_of_a_known_case() -> None:
    history = np.log([[[0.3, 0.7]], [[0.8, 0.2]]])
    found = features(np.asarray([[0.8, 0.2]]), history)[0]
    nats = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))
    # It says the first label; the exit before said the second, and gave the first 0.3.
    assert found == pytest.approx([np.log(4), 0.6, 1 - nats / np.log(2), 0.0, 0.3])
    first_of_its_tier = features(np.asarray([[0.8, 0.2]]), history[1:])[0]
    assert first_of_its_tier[3:].tolist() == [0.0, 0.0]


def test_agreement_with_the_exit_before_raises_a_score_that_values_it() -> None:
    score = LearnedScore((0.0, 0.0, 0.0, 2.0, 0.0), 0.0)
    own = np.asarray([[3.0, 0.0], [3.0, 0.0]])
    before = np.asarray([[1.0, 0.0], [0.0, 1.0]])
    agreed, not_agreed = Readout(score=score).confidence(np.stack([before, own]), Measure.LEARNED)
    assert agreed == pytest.approx(1 / (1 + np.exp(-2)))
    assert not_agreed == 0.5
    assert (score.depth, replace(score, weights=(1.0, 0.0, 0.0, 0.0, 0.0)).depth) == (2, 1)


def test_certainty_itself_has_a_finite_score() -> None:
    score = LearnedScore((1.0, 1.0, 1.0, 0.0, 0.0), 0.0)
    sure = Readout(score=score).confidence(np.asarray([[[1e4, 0.0]]]), Measure.LEARNED)
    assert 0.99 < sure[0] <= 1.0
