"""The confidence table: figures from examples that nothing was fitted or chosen on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.confidence.figures import FAMILIES, PLAIN, calibration_of, figures, ranking_of
from bench.confidence.readings import READINGS, read
from bench.confidence.tables import record, tables
from offramp.decision.calibrators import Temperature
from offramp.decision.confidence import Measure
from offramp.decision.readout import Readout
from tests.support.evidence import make_evidence

EVIDENCE = make_evidence(3, examples=600)


@pytest.fixture(scope="module")
def found():
    return figures(EVIDENCE, splits=2)


def test_all_readings_measures_and_families_are_there(found):
    assert set(found.calibration) == set(READINGS)
    assert set(found.ranking) == {(r, m) for r in READINGS for m in Measure}
    assert set(found.families) == set(FAMILIES)
    assert found.exits == EVIDENCE.exit_names


def test_a_fitted_temperature_loses_fewer_nats_than_a_bad_one():
    fitted = read(EVIDENCE, PLAIN)
    bad = replace(EVIDENCE, readouts=(Readout(Temperature(8.0)),) * len(EVIDENCE.exits))
    (good_nll, good_ece), (bad_nll, bad_ece) = calibration_of(fitted), calibration_of(bad)
    assert (good_nll < bad_nll).all()
    assert (good_ece < bad_ece).all()


def test_ranking_does_not_see_the_temperature():
    hot = replace(EVIDENCE, readouts=(Readout(Temperature(3.0)),) * len(EVIDENCE.exits))
    both = [ranking_of(evidence, Measure.MAX_PROB) for evidence in (EVIDENCE, hot)]
    np.testing.assert_allclose(*both)


def test_a_measure_of_pure_noise_ranks_by_chance():
    rng = np.random.default_rng(0)
    shuffled = replace(EVIDENCE, labels=rng.permutation(EVIDENCE.labels))
    auroc, _ = ranking_of(shuffled, Measure.MARGIN)
    assert auroc == pytest.approx(np.full(4, 0.5), abs=0.08)


def test_tables_have_a_row_for_everything(found):
    calibration, ranking, costs, thresholds = tables("X", found)
    assert len(calibration.rows) == len(costs.rows) == len(READINGS)
    assert len(ranking.rows) == len(READINGS) * len(Measure)
    assert [row[0] for row in thresholds.rows] == list(FAMILIES)
    for table in (calibration, ranking, costs, thresholds):
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_the_record_is_plain_json(found):
    import json

    assert json.loads(json.dumps(record(found)))["examples"] == 600
