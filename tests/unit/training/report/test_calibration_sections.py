"""Reliability and risk-coverage: what is drawn adds up to what the library reports."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from offramp.decision.calibration import expected_calibration_error, negative_log_likelihood
from offramp.decision.confidence import Measure, max_prob
from offramp.decision.ranking import area_under_risk_coverage, auroc, risk_coverage
from tests.support.evidence import make_evidence
from training.figures import exit_figures
from training.report.readings import bins_of, exit_reliability
from training.report.risk_coverage import COVERAGES, exit_rankings


@given(seed=st.integers(0, 1000), count=st.integers(1, 200))
def test_the_gaps_of_the_bins_add_up_to_the_calibration_error(seed, count):
    rng = np.random.default_rng(seed)
    confidences, correct = rng.random(count), rng.random(count) < 0.7
    bins = bins_of(confidences, correct)
    error = sum(b.count * abs(b.accuracy - b.confidence) for b in bins) / count
    assert error == pytest.approx(expected_calibration_error(confidences, correct))
    assert sum(b.count for b in bins) == count


def test_after_is_what_the_library_says_and_before_is_the_plain_softmax():
    evidence = make_evidence(3, examples=300)
    for index, (found, figures) in enumerate(
        zip(exit_reliability(evidence), exit_figures(evidence, Measure.MAX_PROB), strict=True)
    ):
        assert found.name == figures.name
        assert found.after.ece == pytest.approx(figures.ece)
        assert found.after.nll == pytest.approx(figures.nll)
        logits = evidence.logits[index]
        plain = softmax(logits.astype(float), axis=-1)
        correct = logits.argmax(-1) == evidence.labels
        assert found.before.ece == pytest.approx(
            expected_calibration_error(max_prob(plain), correct)
        )
        assert found.before.nll == pytest.approx(
            negative_log_likelihood(logits, evidence.labels, 1.0)
        )


def test_risks_and_areas_are_those_of_the_ranking():
    evidence = make_evidence(3, examples=300)
    confidences = evidence.confidences(Measure.ENTROPY)
    correct = evidence.correct()
    for index, found in enumerate(exit_rankings(evidence, Measure.ENTROPY)):
        ranked = (confidences[index], correct[index])
        assert found.auroc == auroc(*ranked)
        assert found.aurc == area_under_risk_coverage(*ranked)
        assert found.risks[-1] == pytest.approx(1 - correct[index].mean())
        assert found.risks[9] == risk_coverage(*ranked)[149]
        assert len(found.risks) == len(COVERAGES)
