"""Which rows run next."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.decision.cost import CostCurve
from services.backends.base import Encoded
from services.engine.plan import StagePlan
from services.engine.row import Row
from services.engine.scheduler import LOOK_AHEAD, Scheduler
from services.engine.stage_clock import StageCurve
from tests.support.reference import make_plan


def make_row(number, tokens=5, deadline=math.inf):
    plan = StagePlan.of(make_plan(), ("a", "b", "c"))
    row = Row(number, "text", None, plan, lambda rows: None, deadline)
    row.encoded = Encoded([1] * tokens, None, False)
    return row


def ids(rows):
    return [row.id for row in rows]


def test_deepest_stage_goes_first():
    scheduler = Scheduler(3, max_batch=2)
    scheduler.ready(0, [make_row(0)])
    scheduler.ready(1, [make_row(1)])
    scheduler.ready(2, [make_row(2)])
    taken = [scheduler.take() for _ in range(4)]
    assert [(stage, ids(rows)) for stage, rows in taken] == [(2, [2]), (1, [1]), (0, [0]), (0, [])]


def test_no_batch_is_larger_than_max_batch():
    scheduler = Scheduler(2, max_batch=3)
    scheduler.ready(1, [make_row(number) for number in range(5)])
    assert ids(scheduler.take()[1]) == [0, 1, 2]
    assert ids(scheduler.take()[1]) == [3, 4]


def test_rows_of_similar_length_run_together_where_many_wait():
    scheduler = Scheduler(1, max_batch=4)
    scheduler.ready(0, [make_row(number, tokens=5 if number % 2 else 50) for number in range(8)])
    assert ids(scheduler.take()[1]) == [0, 2, 4, 6]
    assert ids(scheduler.take()[1]) == [1, 3, 5, 7]


def test_few_rows_all_run_at_once_where_nothing_was_measured():
    scheduler = Scheduler(1, max_batch=4)
    scheduler.ready(0, [make_row(0, tokens=50), make_row(1, tokens=5)])
    assert sorted(ids(scheduler.take()[1])) == [0, 1]


@pytest.mark.parametrize("stage", [0, 1])
def test_few_rows_are_parted_by_length_where_padding_costs_more_than_a_batch(stage):
    scheduler = Scheduler(2, max_batch=4)
    scheduler.curves = [StageCurve(CostCurve(0.0, 0.001), CostCurve(0.0, 0.001), full=4)] * 2
    lengths = [5, 50, 5, 50]
    scheduler.ready(stage, [make_row(number, tokens) for number, tokens in enumerate(lengths)])
    assert [ids(scheduler.take()[1]) for _ in range(2)] == [[0, 2], [1, 3]]
    assert scheduler.idle


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=120),
    max_batch=st.integers(1, 6),
    data=st.data(),
)
def test_no_row_is_overtaken_from_beyond_the_look_ahead(lengths, max_batch, data):
    scheduler = Scheduler(1, max_batch)
    waiting = [make_row(number, tokens) for number, tokens in enumerate(lengths)]
    order = []
    while waiting or not scheduler.idle:
        count = data.draw(st.integers(1 if scheduler.idle else 0, 40))
        scheduler.ready(0, waiting[:count])
        waiting = waiting[count:]
        _, rows = scheduler.take()
        assert len(rows) <= max_batch
        order += ids(rows)
    assert sorted(order) == list(range(len(lengths)))
    for position, number in enumerate(order):
        assert position - number < LOOK_AHEAD * max_batch


def test_tokenising_keeps_to_the_look_ahead_and_lets_survivors_go_first():
    scheduler = Scheduler(2, max_batch=2)
    scheduler.arrive(make_row(number) for number in range(50))
    rows = scheduler.to_encode()
    assert ids(rows) == list(range(2 * LOOK_AHEAD))
    scheduler.ready(0, rows)
    assert scheduler.to_encode() == []
    _, taken = scheduler.take()
    scheduler.ready(1, taken)
    assert scheduler.to_encode() == []
    scheduler.take()
    assert ids(scheduler.to_encode()) == [16, 17]
    assert scheduler.depth == 46


def test_removed_rows_leave_wherever_they_wait():
    scheduler = Scheduler(2, max_batch=2)
    scheduler.arrive([make_row(0), make_row(1)])
    scheduler.ready(0, [make_row(number) for number in range(2, 8)])
    scheduler.take()
    scheduler.ready(1, [make_row(8), make_row(9)])
    removed = scheduler.remove(lambda row: row.id % 2 == 1)
    assert sorted(ids(removed)) == [1, 5, 7, 9]
    assert ids(scheduler.take()[1]) == [8]
    assert ids(scheduler.take()[1]) == [4]
    assert ids(scheduler.to_encode()) == [0]
    assert ids(scheduler.take()[1]) == [6]
    assert scheduler.idle


def test_late_rows_are_found_also_after_they_went_on():
    scheduler = Scheduler(2, max_batch=2)
    scheduler.ready(0, [make_row(0, deadline=5.0), make_row(1, deadline=9.0)])
    assert scheduler.late(5.0) == []
    _, rows = scheduler.take()
    assert scheduler.late(7.0) == []
    scheduler.ready(1, rows)
    assert ids(scheduler.late(6.0)) == [0]
    assert ids(scheduler.late(10.0)) == [1]
