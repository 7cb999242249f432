"""Arrival times: as many as asked for, in the shape asked for."""

import numpy as np
import pytest

from bench.load.arrivals import (
    BURST_SHARE,
    BURST_TIME,
    PERIOD_SECONDS,
    SHAPES,
    TraceError,
    recorded,
)


@pytest.mark.parametrize("shape", SHAPES)
def test_times_ascend_within_the_run_and_come_at_the_rate(shape):
    times = SHAPES[shape](200, 50, np.random.default_rng(1))
    assert (np.diff(times) >= 0).all()
    assert times.min() >= 0
    assert times.max() < 50
    assert len(times) == pytest.approx(10_000, rel=0.05)


def test_poisson_arrivals_are_independent_of_each_other():
    gaps = np.diff(SHAPES["poisson"](100, 200, np.random.default_rng(2)))
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)


def test_bursts_hold_their_share():
    times = SHAPES["bursts"](200, 100, np.random.default_rng(3))
    inside = times % PERIOD_SECONDS < BURST_TIME * PERIOD_SECONDS
    assert inside.mean() == pytest.approx(BURST_SHARE, abs=0.03)


def test_a_recorded_trace_begins_with_its_first_arrival_and_is_repeated(tmp_path):
    trace = tmp_path / "trace.txt"
    trace.write_text("12\n10\n11\n")
    assert recorded(trace, None, 7).tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_a_recorded_trace_is_squeezed_to_a_rate(tmp_path):
    trace = tmp_path / "trace.txt"
    trace.write_text("\n".join(str(t) for t in (0, 1, 5, 9)))
    times = recorded(trace, 40, 10)
    assert len(times) == pytest.approx(400, abs=4)
    gaps = np.diff(times[:4])
    assert gaps[1] / gaps[0] == pytest.approx(4)


@pytest.mark.parametrize("content", ["", "1\n", "2\n2\n", "one\ntwo\n", "1\nnan\n"])
def test_a_trace_that_cannot_be_used_is_named(tmp_path, content):
    trace = tmp_path / "trace.txt"
    trace.write_text(content)
    with pytest.raises(TraceError, match=r"trace\.txt"):
        recorded(trace, None, 5)
