"""The sliding window: what it sums, and what it forgets."""

from __future__ import annotations

import math

from router.window import SECONDS, Window


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_ratios_are_of_the_sums():
    window = Window(Clock())
    window.add("small", False, 1.0, 10.0)
    window.add("large@2", True, 9.0, 30.0)
    totals = window.totals()
    assert (totals.requests, totals.speedup, totals.escalation_ratio) == (2, 4.0, 0.5)
    assert totals.exits == {"small": 1, "large@2": 1}


def test_an_empty_window_has_no_ratios():
    totals = Window(Clock()).totals()
    assert math.isnan(totals.speedup)
    assert math.isnan(totals.escalation_ratio)


def test_answers_are_forgotten_after_the_windows_length():
    clock = Clock()
    window = Window(clock)
    window.add("small", False, 1.0, 10.0)
    clock.now += SECONDS - 1
    window.add("large@3", True, 10.0, 10.0)
    assert window.totals().requests == 2
    clock.now += 1
    totals = window.totals()
    assert (totals.requests, totals.escalation_ratio) == (1, 1.0)
    clock.now += SECONDS
    assert window.totals().requests == 0
