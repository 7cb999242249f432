"""When the client tries again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp import errors
from offramp.client.connection import Retries


def test_what_no_retry_mends_is_given_up_at_once():
    for error in (
        errors.InvalidRequestError([]),
        errors.UnknownRouteError(""),
        errors.DeadlineError(""),
        errors.OfframpError(""),
    ):
        assert Retries().delay(1, error) is None


@pytest.mark.parametrize("kind", [errors.TierUnavailableError, errors.RouterUnavailableError])
def test_what_is_away_is_tried_again_as_often_as_asked(kind):
    retries = Retries(attempts=3)
    assert retries.delay(1, kind("")) is not None
    assert retries.delay(2, kind("")) is not None
    assert retries.delay(3, kind("")) is None


@given(attempt=st.integers(1, 30))
def test_delays_double_with_jitter_up_to_the_longest(attempt):
    retries = Retries(attempts=100, first_delay=0.1, max_delay=2.0)
    full = min(0.1 * 2 ** (attempt - 1), 2.0)
    delay = retries.delay(attempt, errors.RouterUnavailableError(""))
    assert delay is not None
    assert full / 2 <= delay <= full


def test_an_overloaded_router_is_never_asked_before_the_time_it_names():
    assert Retries().delay(1, errors.OverloadedError("full", 7.5)) == 7.5
