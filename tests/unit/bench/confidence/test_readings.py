"""Readings of the exits: fitted on the examples at hand, one kind at every exit."""

from __future__ import annotations

import pytest

from bench.confidence.readings import READINGS, read
from offramp.decision.confidence import Measure
from tests.support.evidence import make_evidence


@pytest.mark.parametrize("reading", READINGS, ids=lambda reading: reading.name)
def test_every_exit_is_read_by_the_calibrator_that_is_asked_for(reading):
    found = read(make_evidence(3, examples=300), reading)
    assert {readout.calibrator.kind for readout in found.readouts} == {reading.calibrator}
    # An exit that is the first of its tier has nothing to mix with.
    assert [readout.mix is not None for readout in found.readouts] == [
        False,
        False,
        reading.mixed,
        reading.mixed,
    ]
    assert found.confidences(Measure.LEARNED).shape == (4, 300)


def test_readings_have_names_of_their_own():
    assert len({reading.name for reading in READINGS}) == len(READINGS) == 6
