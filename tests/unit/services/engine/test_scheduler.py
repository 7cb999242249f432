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


def take(scheduler, now=0.0):
    """The stage that runs next, and its rows."""
    stage = scheduler.next_stage(now)
    return stage, scheduler.take(stage)


def test_deepest_stage_goes_first():
    scheduler = Scheduler(3, max_batch=2)
    scheduler.ready(0, [make_row(0)])
    scheduler.ready(1, [make_row(1)])
    scheduler.ready(2, [make_row(2)])
    taken = [take(scheduler) for _ in range(4)]
    assert [(stage, ids(rows)) for stage, rows in taken] == [(2, [2]), (1, [1]), (0, [0]), (0, [])]


def test_no_batch_is_larger_than_max_batch():
    scheduler = Scheduler(2, max_batch=3)
    scheduler.ready(1, [make_row(number) for number in range(5)])
    assert ids(take(scheduler)[1]) == [0, 1, 2]
    assert ids(take(scheduler)[1]) == [3, 4]


def test_rows_of_similar_length_run_together_where_many_wait():
    scheduler = Scheduler(1, max_batch=4)
    scheduler.ready(0, [make_row(number, tokens=5 if number % 2 else 50) for number in range(8)])
    assert ids(take(scheduler)[1]) == [0, 2, 4, 6]
    assert ids(take(scheduler)[1]) == [1, 3, 5, 7]


def test_few_rows_all_run_at_once_where_nothing_was_measured():
    scheduler = Scheduler(1, max_batch=4)
    scheduler.ready(0, [make_row(0, tokens=50), make_row(1, tokens=5)])
    assert sorted(ids(take(scheduler)[1])) == [0, 1]


@pytest.mark.parametrize("stage", [0, 1])
def test_few_rows_are_parted_by_length_where_padding_costs_more_than_a_batch(stage):
    scheduler = Scheduler(2, max_batch=4)
    scheduler.expect([StageCurve(CostCurve(0.0, 0.001), CostCurve(0.0, 0.001), full=4)] * 2)
    lengths = [5, 50, 5, 50]
    scheduler.ready(stage, [make_row(number, tokens) for number, tokens in enumerate(lengths)])
    assert [ids(take(scheduler)[1]) for _ in range(2)] == [[0, 2], [1, 3]]
    assert scheduler.idle


def test_the_shapes_that_batches_are_filled_up_to_count():
    curve = StageCurve(CostCurve(0.0, 0.001), CostCurve(0.0, 0.001), full=8)
    found = []
    for shape in (lambda rows, tokens: (rows, tokens), lambda rows, tokens: (rows, 64)):
        scheduler = Scheduler(1, max_batch=8)
        scheduler.expect([curve], shape)
        scheduler.ready(0, [make_row(number, tokens=5 + 40 * (number % 2)) for number in range(4)])
        found.append(len(take(scheduler)[1]))
    assert found == [2, 4]  # where all are filled up to one length, parting them saves nothing


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
        _, rows = take(scheduler)
        assert len(rows) <= max_batch
        order += ids(rows)
    assert sorted(order) == list(range(len(lengths)))
    for position, number in enumerate(order):
        assert position - number < LOOK_AHEAD * max_batch


def test_tokenising_keeps_to_the_look_ahead_and_lets_survivors_go_first():
    scheduler = Scheduler(2, max_batch=2)
    scheduler.arrive(make_row(number) for number in range(50))
    assert scheduler.next_stage(0.0) == 0
    rows = scheduler.to_encode()
    assert ids(rows) == list(range(2 * LOOK_AHEAD))
    scheduler.ready(0, rows)
    assert scheduler.to_encode() == []
    _, taken = take(scheduler)
    scheduler.ready(1, taken)
    assert scheduler.next_stage(0.0) == 1
    take(scheduler)
    assert ids(scheduler.to_encode()) == [16, 17]
    assert scheduler.depth == 46


# What a batch costs hardly depends on its rows; and: it is nearly all rows.
DEAR_STARTS = StageCurve(CostCurve(0.0021), CostCurve(0.0001), full=32)
CHEAP_STARTS = StageCurve(CostCurve(0.0021), CostCurve(0.0019), full=32)


def crowded(curve, survivors=8, deadline=math.inf):
    """A tier with a queue, and survivors of a batch before."""
    scheduler = Scheduler(3, max_batch=32)
    scheduler.expect([curve] * 3)
    scheduler.arrive(make_row(number) for number in range(1000))
    scheduler.ready(1, [make_row(number, deadline=deadline) for number in range(survivors)])
    return scheduler


@pytest.mark.parametrize(("curve", "stage"), [(DEAR_STARTS, 0), (CHEAP_STARTS, 1)])
def test_survivors_wait_for_company_where_starting_a_batch_is_dear(curve, stage):
    assert crowded(curve).next_stage(0.0) == stage


@pytest.mark.parametrize("survivors", [24, 31, 32, 60])
def test_survivors_that_nearly_fill_a_batch_do_not_wait(survivors):
    assert crowded(DEAR_STARTS, survivors).next_stage(0.0) == 1


def test_survivors_do_not_wait_beyond_what_the_oldest_deadline_allows():
    # A batch before them and the two stages ahead take some 16 ms.
    assert crowded(DEAR_STARTS, deadline=0.020).next_stage(0.0) == 0
    assert crowded(DEAR_STARTS, deadline=0.020).next_stage(0.015) == 1


def test_survivors_wait_for_so_many_batches_and_no_more():
    scheduler = crowded(DEAR_STARTS, survivors=1)
    taken = []
    for _ in range(LOOK_AHEAD + 2):
        if scheduler.next_stage(0.0) == 0:
            scheduler.ready(0, scheduler.to_encode())
        taken.append(take(scheduler)[0])
    assert taken == [0] * LOOK_AHEAD + [1, 0]


def test_survivors_do_not_wait_for_less_company_than_they_are():
    scheduler = Scheduler(2, max_batch=32)
    scheduler.expect([DEAR_STARTS] * 2)
    scheduler.ready(0, [make_row(number) for number in range(7)])
    scheduler.ready(1, [make_row(number) for number in range(8)])
    assert scheduler.next_stage(0.0) == 1


def test_nothing_waits_where_no_earlier_stage_has_rows():
    scheduler = Scheduler(3, max_batch=32)
    scheduler.expect([DEAR_STARTS] * 3)
    scheduler.ready(2, [make_row(0)])
    assert scheduler.next_stage(0.0) == 2


def test_nothing_waits_where_nothing_was_measured():
    assert crowded(StageCurve()).next_stage(0.0) == 1


def test_removed_rows_leave_wherever_they_wait():
    scheduler = Scheduler(2, max_batch=2)
    scheduler.arrive([make_row(0), make_row(1)])
    scheduler.ready(0, [make_row(number) for number in range(2, 8)])
    take(scheduler)
    scheduler.ready(1, [make_row(8), make_row(9)])
    removed = scheduler.remove(lambda row: row.id % 2 == 1)
    assert sorted(ids(removed)) == [1, 5, 7, 9]
    assert ids(take(scheduler)[1]) == [8]
    assert ids(take(scheduler)[1]) == [4]
    assert ids(scheduler.to_encode()) == [0]
    assert ids(take(scheduler)[1]) == [6]
    assert scheduler.idle


def test_late_rows_are_found_also_after_they_went_on():
    scheduler = Scheduler(2, max_batch=2)
    scheduler.ready(0, [make_row(0, deadline=5.0), make_row(1, deadline=9.0)])
    assert scheduler.late(5.0) == []
    _, rows = take(scheduler)
    assert scheduler.late(7.0) == []
    scheduler.ready(1, rows)
    assert ids(scheduler.late(6.0)) == [0]
    assert ids(scheduler.late(10.0)) == [1]
