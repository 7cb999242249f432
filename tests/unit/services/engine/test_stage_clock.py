"""What a stage is expected to take."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.decision.cost import CostCurve
from services.engine.stage_clock import StageClock, StageCurve

CURVE = StageCurve(alone=CostCurve(0.010), shared=CostCurve(0.0, 0.0001), full=32)


def test_nothing_is_expected_without_curves():
    clock = StageClock()
    clock.observe(0, [10] * 4, 1.0)
    clock.relax(0)
    assert clock.expect(0, [10] * 4) == 0.0


def test_a_batch_takes_no_less_than_one_row_alone():
    clock = StageClock([CURVE])
    assert clock.expect(0, [20] * 1) == pytest.approx(0.010)
    assert clock.expect(0, [20] * 32) == pytest.approx(0.064)


def test_expectation_follows_what_batches_take():
    clock = StageClock([CURVE, CURVE])
    for _ in range(60):
        clock.observe(0, [20] * 32, 0.128)
    assert clock.expect(0, [20] * 32) == pytest.approx(0.128, rel=0.01)
    assert clock.expect(1, [20] * 32) == pytest.approx(0.064)


@given(
    steps=st.lists(st.none() | st.floats(1e-3, 1e3), max_size=40),
    seconds=st.floats(0.0, 1e6),
)
def test_one_batch_alone_moves_the_expectation_little(steps, seconds):
    clock = StageClock([CURVE])
    for ratio in steps:  # whatever was learned before; None: a batch that was not begun
        if ratio is None:
            clock.relax(0)
        else:
            clock.observe(0, [20] * 1, 0.010 * ratio)
    before = clock.expect(0, [20] * 1)
    clock.observe(0, [20] * 1, seconds)
    after = clock.expect(0, [20] * 1)
    # Below what was measured at start, where refusals may have led, it may climb faster.
    most = 0.2 * max(before, 2 * 0.010 - before)
    assert -0.2 * before - 1e-12 <= after - before <= most * (1 + 1e-9)


@given(st.floats(0.02, 50.0))
def test_a_lasting_change_is_learned_whole(ratio):
    clock = StageClock([CURVE])
    for _ in range(100):
        clock.observe(0, [20] * 1, 0.010 * ratio)
    assert clock.expect(0, [20] * 1) == pytest.approx(0.010 * ratio, rel=0.01)


def test_between_one_row_and_a_full_batch_every_row_adds_the_same():
    taken = [CURVE.seconds(rows, 20) for rows in (1, 2, 3, 32)]
    assert taken[2] - taken[1] == pytest.approx(taken[1] - taken[0])
    assert taken[3] - taken[0] == pytest.approx(31 * (taken[1] - taken[0]))


def test_where_the_hardware_takes_a_full_batch_for_free_rows_cost_nothing():
    curve = StageCurve(alone=CostCurve(0.010), shared=CostCurve(0.0001), full=32)
    assert curve.seconds(1, 20) == curve.seconds(32, 20) == pytest.approx(0.010)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.floats(0.0, 1.0))
def test_rows_of_several_lengths_take_what_lies_between_their_own_and_the_longest(tokens, padding):
    curve = StageCurve(CostCurve(0.0, 0.01), CostCurve(0.0, 0.001), full=8)
    own = curve.start(max(tokens)) + sum(curve.each(n) for n in tokens)
    padded = curve.seconds(len(tokens), max(tokens))
    found = replace(curve, padding=padding).mixed(tokens)
    # A mean of tokens is rounded.
    assert found == pytest.approx(padding * padded + (1 - padding) * own, rel=0.05)
    assert replace(curve, padding=1.0).mixed(tokens) == pytest.approx(padded)


def test_two_stages_run_as_one_take_what_both_take():
    both = CURVE + StageCurve(alone=CostCurve(0.004), shared=CostCurve(0.001), full=32)
    assert both.seconds(1, 20) == pytest.approx(0.014)
    assert both.seconds(32, 20) == pytest.approx(0.064 + 0.032)
