"""Operating points: chosen on evidence by one rule, whatever the test labels say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.papers.points import GRID, at_speedup, curve, operating_points, read_off
from tests.support.evidence import make_evidence
from training.compare.cascade import Examples, examples_of
from training.compare.methods import FULL, METHODS, OURS
from training.compare.ways import compare

CHOOSING = examples_of(make_evidence(4, examples=600, seed=1))
TEST = Examples(make_evidence(4, examples=600, seed=2), CHOOSING.full_calibrator)


@pytest.fixture(scope="module")
def ways():
    return compare(METHODS, CHOOSING, TEST)


def by_method(points, limit):
    return {point.method: point for point in points if point.limit == limit}


def test_every_cascade_has_a_point_at_every_limit(ways):
    points = operating_points(ways, CHOOSING, TEST)
    for limit in (0.0, 0.005, 0.01):
        assert set(by_method(points, limit)) >= {m.name for m in METHODS[2:]}


def test_the_expected_loss_keeps_the_limit_and_more_loss_is_never_slower(ways):
    points = operating_points(ways, CHOOSING, TEST)
    assert all(point.expected.mean <= point.limit + 1e-6 for point in points)
    speedups = [
        [CHOOSING.full.flops.sum() / CHOOSING.run([p.cascade])[0].flops.sum()]
        for p in points
        if p.method == OURS.name
    ]
    assert speedups == sorted(speedups)


def test_test_labels_have_no_part_in_the_choice(ways):
    flipped = replace(TEST.evidence, labels=1 - TEST.evidence.labels)
    other = Examples(flipped, TEST.full_calibrator)
    again = operating_points(compare(METHODS, CHOOSING, other), CHOOSING, other)
    chosen = operating_points(ways, CHOOSING, TEST)
    assert [point.cascade for point in again] == [point.cascade for point in chosen]
    assert [point.accuracy for point in again] != [point.accuracy for point in chosen]


def test_a_single_model_that_loses_more_has_no_point():
    weak = make_evidence(4, examples=600, seed=1, noise=2.0)
    choosing = examples_of(weak)
    points = operating_points(compare(METHODS, choosing, choosing), choosing, choosing)
    assert "small tier alone" not in by_method(points, 0.0)


def test_a_cascade_that_keeps_a_limit_nowhere_is_the_full_model(ways):
    ours = next(way for way in ways if way.method is OURS)
    full = next(way for way in ways if way.method is FULL)
    lossy = replace(ours, losses=(0.5,) * len(ours.losses))
    slow = replace(ours, speedups=(0.9,) * len(ours.speedups))
    for hopeless in (lossy, slow):
        (point, *_) = operating_points((hopeless, full), CHOOSING, TEST)
        assert point.cascade == full.cascades[0]
        assert (point.speedup, point.lost.mean) == (1.0, 0.0)


def test_read_off_the_test_curve_is_never_slower_than_a_chosen_point_that_kept_the_limit(ways):
    for point in operating_points(ways, CHOOSING, TEST):
        if point.lost.mean <= point.limit:
            way = next(way for way in ways if way.method.name == point.method)
            assert read_off(way, TEST, point.limit) >= point.speedup - 1e-9


def test_at_a_speedup_stands_the_slowest_that_is_fast_enough(ways):
    way = next(way for way in ways if way.method is OURS)
    found = way.measured[at_speedup(way, 2.0)]
    assert found.speedup == min(m.speedup for m in way.measured if m.speedup >= 2.0)
    assert at_speedup(way, 1e9) is None


def test_the_full_model_has_a_curve_of_one_point(ways):
    full = next(way for way in ways if way.method is FULL)
    accuracies = curve(full)
    assert accuracies[0] == full.measured[0].accuracy
    assert np.isnan(accuracies[GRID > 1.0]).all()
