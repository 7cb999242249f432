"""Evidence: exits read out with their own tier's history; one part chooses, the other certifies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offramp.decision.calibrators import Temperature
from offramp.decision.confidence import Measure
from offramp.decision.evidence import Evidence
from offramp.decision.readout import Readout
from tests.unit.offramp.decision.test_frontier import make_evidence


@pytest.fixture
def evidence() -> Evidence:
    """Of one small exit and three large ones; every third example certifies."""
    made = make_evidence(0, examples=60)
    readouts = (
        Readout(Temperature(2.0)),
        Readout(),
        Readout(mix=(0.5, 0.5)),
        Readout(mix=(0.2, 0.3, 0.5)),
    )
    return replace(made, readouts=readouts, certifies=np.arange(60) % 3 == 0)


def test_an_exit_is_read_out_with_the_exits_of_its_own_tier(evidence: Evidence) -> None:
    assert [len(evidence.history(i)) for i in range(4)] == [1, 1, 2, 3]
    assert np.array_equal(evidence.history(3)[0], evidence.logits[1])
    raw = evidence.logits.astype(float)
    mixed = 0.2 * raw[1] + 0.3 * raw[2] + 0.5 * raw[3]
    found = evidence.probabilities()
    assert found[3] == pytest.approx(Temperature().probabilities(mixed))
    assert found[0] == pytest.approx(Temperature(2.0).probabilities(raw[0]))


def test_answers_are_those_of_the_readouts_not_of_the_raw_logits(evidence: Evidence) -> None:
    assert np.array_equal(evidence.answers(), evidence.probabilities().argmax(axis=-1))
    assert (evidence.answers() != evidence.logits.argmax(axis=-1)).any()
    assert np.array_equal(evidence.correct(), evidence.answers() == evidence.labels)


def test_the_two_parts_are_disjoint_and_whole(evidence: Evidence) -> None:
    choosing, certifying = evidence.choosing, evidence.certifying
    assert (len(choosing.labels), len(certifying.labels)) == (40, 20)
    assert np.array_equal(certifying.logits, evidence.logits[:, ::3])
    assert not choosing.certifies.any()
    assert choosing.choosing.labels.tolist() == choosing.labels.tolist()


def test_a_subset_is_what_the_whole_says_of_its_examples(evidence: Evidence) -> None:
    rows = [7, 3, 50]
    part = evidence.subset(rows)
    assert np.array_equal(part.labels, evidence.labels[rows])
    assert part.probabilities() == pytest.approx(evidence.probabilities()[:, rows])
    whole = evidence.confidences(Measure.MARGIN)[:, rows]
    assert part.confidences(Measure.MARGIN) == pytest.approx(whole)
    assert np.array_equal(part.costs(), evidence.costs()[:, rows])


def test_what_is_worked_out_once_cannot_be_changed(evidence: Evidence) -> None:
    for shared in (evidence.probabilities(), evidence.confidences(Measure.MAX_PROB)):
        with pytest.raises(ValueError, match="read-only"):
            shared[0] = 0.0


@pytest.mark.parametrize("name", ["labels", "tokens", "certifies", "readouts"])
def test_what_does_not_fit_together_is_refused(evidence: Evidence, name: str) -> None:
    with pytest.raises(ValueError, match=r"expected|readouts|per example"):
        replace(evidence, **{name: getattr(evidence, name)[1:]})
