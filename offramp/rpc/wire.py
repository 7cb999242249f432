"""The one place where shared dataclasses become protobuf messages, and come back."""

from __future__ import annotations

from types import MappingProxyType

import grpc
from google.protobuf import duration_pb2

from offramp import errors
from offramp.decision.confidence import Measure
from offramp.decision.cost import CostCurve
from offramp.decision.plan import ExitPlan
from offramp.v1 import common_pb2, tier_pb2

_MEASURES = {
    Measure.MAX_PROB: common_pb2.CONFIDENCE_MEASURE_MAX_PROB,
    Measure.MARGIN: common_pb2.CONFIDENCE_MEASURE_MARGIN,
    Measure.ENTROPY: common_pb2.CONFIDENCE_MEASURE_ENTROPY,
    Measure.LEARNED: common_pb2.CONFIDENCE_MEASURE_LEARNED,
}
_MEASURES_BACK = {value: measure for measure, value in _MEASURES.items()}
_STATUS_BY_NUMBER = {status.value[0]: status for status in grpc.StatusCode}
_ERRORS: tuple[type[errors.OfframpError], ...] = (
    errors.UnknownRouteError,
    errors.DeadlineError,
    errors.TierUnavailableError,
)


def measure_to_proto(measure: Measure) -> common_pb2.ConfidenceMeasure.ValueType:
    """The wire's value of a confidence measure."""
    return _MEASURES[measure]


def measure_from_proto(value: common_pb2.ConfidenceMeasure.ValueType) -> Measure:
    """The measure of a wire value; an unset one is MAX_PROB."""
    return _MEASURES_BACK.get(value, Measure.MAX_PROB)


def plan_to_proto(plan: ExitPlan) -> common_pb2.ExitPlan:
    """An exit plan as it travels to a tier."""
    return common_pb2.ExitPlan(
        confidence=measure_to_proto(plan.measure),
        thresholds=[
            common_pb2.ExitThreshold(exit=name, threshold=value)
            for name, value in plan.thresholds.items()
        ],
        last_exit=plan.last_exit,
    )


def plan_from_proto(plan: common_pb2.ExitPlan) -> ExitPlan:
    """An exit plan as a tier received it."""
    thresholds = {entry.exit: entry.threshold for entry in plan.thresholds}
    return ExitPlan(
        MappingProxyType(thresholds), plan.last_exit, measure_from_proto(plan.confidence)
    )


def curve_to_proto(curve: CostCurve) -> tier_pb2.CostCurve:
    """A cost curve as Describe reports it."""
    return tier_pb2.CostCurve(
        constant=curve.constant, linear=curve.linear, quadratic=curve.quadratic
    )


def curve_from_proto(curve: tier_pb2.CostCurve) -> CostCurve:
    """A cost curve as Describe reported it."""
    return CostCurve(curve.constant, curve.linear, curve.quadratic)


def item_error(error: errors.OfframpError) -> common_pb2.ItemError:
    """The error of one item of a batch or stream."""
    violations = error.violations if isinstance(error, errors.InvalidRequestError) else ()
    return common_pb2.ItemError(
        code=error.code.value[0],
        message=str(error),
        violations=[
            common_pb2.FieldViolation(field=v.field, description=v.description) for v in violations
        ],
        retry_delay=_retry_delay(error),
    )


def error_from_item(item: common_pb2.ItemError) -> errors.OfframpError:
    """The exception that an item's error stands for."""
    code = _STATUS_BY_NUMBER.get(item.code, grpc.StatusCode.UNKNOWN)
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        violations = [errors.Violation(v.field, v.description) for v in item.violations]
        return errors.InvalidRequestError(violations or [errors.Violation("", item.message)])
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return _overloaded(item)
    for kind in _ERRORS:
        if kind.code is code:
            return kind(item.message)
    return errors.OfframpError(item.message)


def _retry_delay(error: errors.OfframpError) -> duration_pb2.Duration | None:
    if not isinstance(error, errors.OverloadedError):
        return None
    delay = duration_pb2.Duration()
    delay.FromNanoseconds(int(error.retry_after_seconds * 1e9))
    return delay


def _overloaded(item: common_pb2.ItemError) -> errors.OverloadedError:
    if not item.HasField("retry_delay"):
        return errors.OverloadedError(item.message)
    return errors.OverloadedError(item.message, item.retry_delay.ToNanoseconds() / 1e9)
