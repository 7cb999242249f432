"""Calibrators: probabilities whatever the logits, each row by itself, and back from JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import special

from offramp.decision.calibrators import (
    Calibrator,
    Isotonic,
    Temperature,
    VectorScaling,
    calibrator_from,
    softmax,
)

CLASSES = 3
numbers = st.floats(-4, 4)
shares = st.floats(0, 1)


@st.composite
def curves(draw: st.DrawFn) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Corners of a rising curve; it may be flat, and may stay at zero."""
    count = draw(st.integers(1, 4))
    before = draw(st.lists(shares, min_size=count, max_size=count, unique=True))
    after = draw(st.lists(shares | st.just(0.0), min_size=count, max_size=count))
    return tuple(sorted(before)), tuple(sorted(after))


calibrators: st.SearchStrategy[Calibrator] = st.one_of(
    st.builds(Temperature, st.floats(0.05, 20)),
    st.builds(
        VectorScaling,
        st.tuples(*[st.floats(0, 5)] * CLASSES),
        st.tuples(*[numbers] * CLASSES),
    ),
    st.builds(Isotonic, st.floats(0.05, 20), st.tuples(*[curves()] * CLASSES)),
)
logits = arrays(np.float32, (5, CLASSES), elements=st.floats(-60, 60, width=32))


@given(logits)
def test_softmax_has_the_bits_of_scipys(raw: np.ndarray) -> None:
    wide = raw.astype(np.float64)
    assert (softmax(wide) == special.softmax(wide, axis=-1)).all()


@given(calibrators, logits)
def test_probabilities_lie_in_zero_to_one_and_sum_to_one(
    calibrator: Calibrator, raw: np.ndarray
) -> None:
    found = calibrator.probabilities(raw)
    assert found.dtype == np.float64
    assert ((found >= 0) & (found <= 1)).all()
    assert found.sum(axis=1) == pytest.approx(np.ones(5))


@given(calibrators, logits, st.permutations(range(5)))
def test_each_row_is_read_by_itself(
    calibrator: Calibrator, raw: np.ndarray, order: list[int]
) -> None:
    found = calibrator.probabilities(raw)
    assert np.array_equal(calibrator.probabilities(raw[order]), found[order])
    assert np.array_equal(calibrator.probabilities(raw[order[0]]), found[order[0]])


@given(calibrators)
def test_calibrators_come_back_from_json(calibrator: Calibrator) -> None:
    assert calibrator_from(json.loads(json.dumps(asdict(calibrator)))) == calibrator


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match="unknown calibrator 'beta'; there is: temperature"):
        calibrator_from({"kind": "beta"})


@given(st.floats(0.05, 20), st.integers(0, 1000))
def test_a_temperature_never_changes_the_answer(temperature: float, seed: int) -> None:
    raw = np.random.default_rng(seed).normal(scale=30, size=(20, 5))
    found = Temperature(temperature).probabilities(raw)
    assert (found.argmax(axis=1) == raw.argmax(axis=1)).all()


@given(st.floats(0.05, 20), logits)
def test_vector_scaling_without_biases_is_a_temperature(
    temperature: float, raw: np.ndarray
) -> None:
    scaling = VectorScaling((1 / temperature,) * CLASSES, (0.0,) * CLASSES)
    plain = Temperature(temperature).probabilities(raw)
    assert scaling.probabilities(raw) == pytest.approx(plain, abs=1e-9)


FLAT = ((0.0, 1.0), (0.3, 0.3))
ZERO = ((0.0, 1.0), (0.0, 0.0))


@pytest.mark.parametrize("curve", [FLAT, ZERO], ids=["all tied", "all zero"])
def test_where_isotonic_curves_part_nothing_the_temperature_answers(curve: tuple) -> None:
    raw = np.random.default_rng(0).normal(scale=3, size=(200, CLASSES))
    found = Isotonic(1.0, (curve,) * CLASSES).probabilities(raw)
    assert (found.argmax(axis=1) == raw.argmax(axis=1)).all()


def test_isotonic_follows_its_curves() -> None:
    # Of 80 % and more only 60 % are right: the curve says so.
    curve = ((0.0, 0.2, 0.8, 1.0), (0.0, 0.4, 0.6, 0.6))
    raw = np.log([[0.9, 0.1], [0.5, 0.5]])
    found = Isotonic(1.0, (curve, curve)).probabilities(raw)
    # 0.9 and 0.1 become 0.6 and 0.2, which sum to 0.8.
    assert found == pytest.approx(np.asarray([[0.75, 0.25], [0.5, 0.5]]), abs=0.01)
