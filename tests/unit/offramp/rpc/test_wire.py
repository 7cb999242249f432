"""Dataclasses survive the trip over the wire; errors keep what a client can act on."""

from __future__ import annotations

from types import MappingProxyType

import grpc
import pytest
from google.rpc import error_details_pb2
from hypothesis import given
from hypothesis import strategies as st

from offramp import errors
from offramp.decision.confidence import Measure
from offramp.decision.cost import CostCurve
from offramp.decision.plan import ExitPlan
from offramp.rpc import wire
from offramp.rpc.status import rich_status
from offramp.v1 import common_pb2

plans = st.builds(
    ExitPlan,
    st.dictionaries(st.text(min_size=1, max_size=8), st.floats(0, 1)).map(MappingProxyType),
    st.text(max_size=8),
    st.sampled_from(list(Measure)),
)
finite = st.floats(allow_nan=False, allow_infinity=False)


@given(plan=plans)
def test_plans_come_back_as_they_went(plan: ExitPlan) -> None:
    assert wire.plan_from_proto(wire.plan_to_proto(plan)) == plan


@given(curve=st.builds(CostCurve, finite, finite, finite))
def test_cost_curves_come_back_as_they_went(curve: CostCurve) -> None:
    assert wire.curve_from_proto(wire.curve_to_proto(curve)) == curve


VIOLATION = errors.Violation("input.text", "is empty; send some text")


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidRequestError([VIOLATION]),
        errors.UnknownRouteError("no route 'a'"),
        errors.OverloadedError("full"),
        errors.DeadlineError("too late"),
        errors.TierUnavailableError("gone"),
    ],
)
def test_item_errors_come_back_as_the_same_kind(error: errors.OfframpError) -> None:
    back = wire.error_from_item(wire.item_error(error))
    assert type(back) is type(error)
    assert str(back) == str(error)


def test_the_time_to_wait_travels_with_an_item() -> None:
    item = wire.item_error(errors.OverloadedError("full", retry_after_seconds=3.2))
    assert item.retry_delay.ToMilliseconds() == 3200
    back = wire.error_from_item(item)
    assert isinstance(back, errors.OverloadedError)
    assert back.retry_after_seconds == pytest.approx(3.2)


def test_only_an_overloaded_item_has_a_time_to_wait() -> None:
    assert not wire.item_error(errors.DeadlineError("too late")).HasField("retry_delay")


def test_an_overloaded_item_of_an_older_peer_has_the_default_time_to_wait() -> None:
    item = common_pb2.ItemError(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message="full")
    back = wire.error_from_item(item)
    assert isinstance(back, errors.OverloadedError)
    assert back.retry_after_seconds == errors.OverloadedError("").retry_after_seconds


def test_a_bad_request_carries_its_fields() -> None:
    status = rich_status(errors.InvalidRequestError([VIOLATION]))
    detail = error_details_pb2.BadRequest()
    assert any(any_detail.Unpack(detail) for any_detail in status.details)
    assert detail.field_violations[0].field == "input.text"
    assert detail.field_violations[0].description == "is empty; send some text"


def test_an_overload_says_when_to_try_again() -> None:
    status = rich_status(errors.OverloadedError("full", retry_after_seconds=0.25))
    detail = error_details_pb2.RetryInfo()
    assert any(any_detail.Unpack(detail) for any_detail in status.details)
    assert detail.retry_delay.ToMilliseconds() == 250
