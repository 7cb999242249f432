"""Which rows run together."""

import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.decision.cost import CostCurve
from services.engine.batching import STEP_SECONDS, Parting, as_it_is
from services.engine.stage_clock import StageCurve

terms = st.floats(0.0, 1.0).map(lambda value: value / 100)
curves = st.builds(
    StageCurve,
    alone=st.builds(CostCurve, terms, terms, terms),
    shared=st.builds(CostCurve, terms, terms, terms),
    full=st.integers(1, 8),
    padding=st.floats(0.0, 1.0),
)
PER_TOKEN = StageCurve(CostCurve(0.02, 0.001), CostCurve(0.02 / 32, 0.001), full=32)


def in_steps(rows, tokens):
    """Batches are filled up to threes of rows and eights of tokens."""
    return -(-rows // 3) * 3, -(-tokens // 8) * 8


def cost(tokens, sizes, curves, shape):
    """What the batches take, one after the other."""
    found, row = 0.0, 0
    first = curves[0]
    for size in sizes:
        row += size
        filled, longest = shape(size, tokens[row - 1])
        found += filled * first.padding * first.each(longest)
        found += sum(STEP_SECONDS + curve.start(longest) for curve in curves)
    return found + sum((1 - first.padding) * first.each(own) for own in tokens)


def partings(rows, most):
    """All ways to part so many rows into batches."""
    if rows == 0:
        yield []
    for size in range(1, min(rows, most) + 1):
        for rest in partings(rows - size, most):
            yield [size, *rest]


@given(
    tokens=st.lists(st.integers(1, 60), min_size=1, max_size=8).map(sorted),
    most=st.integers(1, 5),
    stages=st.lists(curves, min_size=1, max_size=3),
    shape=st.sampled_from([as_it_is, in_steps]),
)
def test_no_other_parting_is_cheaper(tokens, most, stages, shape):
    found = Parting(stages, shape).sizes(tokens, most)
    assert sum(found) == len(tokens)
    assert all(1 <= size <= most for size in found)
    cheapest = min(cost(tokens, sizes, stages, shape) for sizes in partings(len(tokens), most))
    assert cost(tokens, found, stages, shape) == pytest.approx(cheapest)


def test_a_row_that_would_be_filled_up_to_many_runs_by_itself():
    def doubled(rows, tokens):
        return 1 << (rows - 1).bit_length(), tokens

    for lengths in (list(range(20, 29)), [20] * 9):
        assert Parting([PER_TOKEN]).sizes(lengths, 32) == [9]
        assert Parting([PER_TOKEN], doubled).sizes(lengths, 32) in ([8, 1], [1, 8])


def test_a_long_text_does_not_make_short_ones_pay():
    assert Parting([PER_TOKEN]).sizes([10, 10, 11, 12, 120], 32) == [4, 1]


def test_where_padding_costs_little_texts_of_any_length_run_together():
    lengths = [10, 10, 11, 12, 120]
    assert Parting([replace(PER_TOKEN, padding=0.02)]).sizes(lengths, 32) == [5]


def test_a_batch_more_is_begun_in_every_stage_behind_too():
    lengths = [10] * 4 + [20] * 4
    assert Parting([PER_TOKEN]).sizes(lengths, 32) == [4, 4]
    assert Parting([PER_TOKEN] * 3).sizes(lengths, 32) == [8]


def test_texts_of_about_one_length_stay_together():
    assert Parting([PER_TOKEN]).sizes([10, 10, 11, 12], 32) == [4]


def test_without_curves_batches_are_as_few_as_can_be():
    assert Parting([StageCurve()]).sizes([10, 20, 30, 40, 50], 2) in (
        [2, 2, 1],
        [1, 2, 2],
        [2, 1, 2],
    )
    assert Parting([StageCurve()]).sizes([10, 20, 30], 4) == [3]


def test_where_a_batch_costs_what_a_row_costs_all_run_together():
    free = StageCurve(CostCurve(0.001), CostCurve(0.001 / 32), full=32)
    assert Parting([free]).sizes(list(range(1, 33)), 32) == [32]


def test_many_rows_in_large_batches_take_no_memory_for_all_their_pairs():
    rows = 2048
    parting = Parting([PER_TOKEN], in_steps)
    lengths = sorted(1 + i % 500 for i in range(rows))
    tracemalloc.start()
    try:
        assert sum(parting.sizes(lengths, rows)) == rows
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < rows * rows  # bytes; a table of pairs takes eight times as many
