"""Operating points on a test file: chosen on evidence, measured once; and curves as knobs turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.compare.cascade import Cascade, Examples
from training.compare.methods import FULL
from training.compare.operating import (
    LIMITS,
    Loss,
    cheapest_within,
    expected_loss,
    measured_loss,
)
from training.compare.ways import Way

# Speedups in FLOPs at which curves are compared.
GRID = np.geomspace(1.0, 64.0, 61)


@dataclass(frozen=True, slots=True)
class ChosenPoint:
    """A method at an allowed loss: what runs, what was expected, and what it came to on the test.

    limit: accuracy that may be lost, as a share.  speedup: in FLOPs.
    """

    method: str
    limit: float
    cascade: Cascade
    expected: Loss
    lost: Loss
    accuracy: float
    speedup: float


def operating_points(
    ways: Sequence[Way], choosing: Examples, test: Examples
) -> tuple[ChosenPoint, ...]:
    """Every method at every limit; one that has a point only, and loses more there, is left out.

    A method with a choice runs the full model where nothing cheaper of it keeps the limit.
    """
    full = next(way for way in ways if way.method is FULL)
    found = []
    for way in ways:
        for limit in LIMITS:
            chosen, place = way, way.within(limit)
            pays = place is not None and way.speedups[place] > 1.0
            if len(way.cascades) > 1 and not pays:
                chosen, place = full, 0
            if place is not None:
                cascade, measured = chosen.cascades[place], chosen.measured[place]
                expected = expected_loss(choosing, choosing.run([cascade])[0])
                lost = measured_loss(test, measured.outcome)
                reached = (lost, measured.accuracy, measured.speedup)
                found.append(ChosenPoint(way.method.name, limit, cascade, expected, *reached))
    return tuple(found)


def read_off(way: Way, test: Examples, limit: float) -> float | None:
    """Speedup at a limit read off the test curve itself, as the papers do: an upper bound."""
    losses = [measured_loss(test, measured.outcome).mean for measured in way.measured]
    speedups = [measured.speedup for measured in way.measured]
    place = cheapest_within(losses, speedups, limit)
    return None if place is None else speedups[place]


def at_speedup(way: Way, speedup: float) -> int | None:
    """Place of the slowest of a method's cascades that is at least so fast on the test file."""
    able = [place for place, found in enumerate(way.measured) if found.speedup >= speedup]
    return min(able, key=lambda place: way.measured[place].speedup, default=None)


def curve(way: Way) -> NDArray[np.float64]:
    """Test accuracy (G,) at the speedups of GRID; not a number beyond what the method can do."""
    places = [at_speedup(way, speedup) for speedup in GRID]
    return np.array([np.nan if p is None else way.measured[p].accuracy for p in places])
