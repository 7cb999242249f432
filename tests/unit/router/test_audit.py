"""The tally of audits: a share, and a bound that holds as often as it says."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from router.audit import CONFIDENCE, Agreement


def test_without_audits_nothing_is_claimed():
    assert math.isnan(Agreement(1).ratio)
    assert Agreement(1).lower_bound == 0


@given(st.integers(1, 5000), st.data())
def test_the_bound_is_that_of_clopper_and_pearson(audited, data):
    agreed = data.draw(st.integers(0, audited))
    test = binomtest(agreed, audited, alternative="greater")
    exact = test.proportion_ci(CONFIDENCE, method="exact").low
    assert Agreement(1, audited, agreed).lower_bound == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize("audited", [1, 7, 60])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
def test_the_bound_holds_with_its_confidence(audited, share):
    counts = range(audited + 1)
    holds = [Agreement(1, audited, agreed).lower_bound <= share for agreed in counts]
    assert binom.pmf(counts, audited, share)[holds].sum() >= CONFIDENCE


def test_one_audit_more_is_counted():
    tally = Agreement(3).with_one(agrees=True).with_one(agrees=False)
    assert (tally.policy_version, tally.audited, tally.agreed) == (3, 2, 1)
    assert tally.ratio == 0.5
