"""The client's side of the wire: its values become protobuf messages, and come back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from offramp import errors
from offramp.client import operations, results
from offramp.decision.guarantee import DEFAULT_CONFIDENCE, Guarantee, Loss, Terms
from offramp.decision.risk import Method
from offramp.decision.simulate import Forecast
from offramp.rpc.wire import error_from_item, measure_from_proto
from offramp.v1 import admin_pb2, common_pb2, router_pb2

_OUTCOMES = {
    router_pb2.OUTCOME_CONFIDENT: results.Outcome.CONFIDENT,
    router_pb2.OUTCOME_LAST_EXIT: results.Outcome.LAST_EXIT,
    router_pb2.OUTCOME_DEADLINE: results.Outcome.DEADLINE,
    router_pb2.OUTCOME_DEGRADED: results.Outcome.DEGRADED,
}


def text_to_proto(text: results.Text, text_pair: str | None = None) -> common_pb2.TextInput:
    """A text or a pair; InvalidRequestError where it is no Unicode text (a lone surrogate)."""
    if isinstance(text, tuple):
        text, text_pair = text
    try:
        return common_pb2.TextInput(text=text, text_pair=text_pair)
    except UnicodeEncodeError as error:
        advice = f"is not valid Unicode text ({error.reason} at position {error.start})"
        raise errors.InvalidRequestError([errors.Violation("text", advice)]) from None


def override_to_proto(override: results.Override | None) -> router_pb2.PolicyOverride | None:
    """What a request asks for; None where it asks for nothing."""
    if override is None or override == results.Override():
        return None
    return router_pb2.PolicyOverride(
        min_confidence=override.min_confidence,
        max_cost=override.max_cost,
        last_exit=override.last_exit,
        full_depth=override.full_depth,
    )


def classification_from_proto(message: router_pb2.Classification) -> results.Classification:
    """An answer as it came."""
    return results.Classification(
        label=message.label,
        confidence=message.confidence,
        probabilities={p.label: p.probability for p in message.probabilities},
        exit=message.exit,
        outcome=_OUTCOMES.get(message.outcome, results.Outcome.UNSPECIFIED),
        escalated=message.escalated,
        cost=_cost(message.cost),
        thresholds=_thresholds(message.thresholds),
        steps=tuple(
            results.ExitStep(s.exit, s.label, s.confidence, s.threshold) for s in message.steps
        ),
        timing=_timing(message.timing),
        bundle_id=message.bundle_id,
        policy_version=message.policy_version,
        route=message.route,
        tokens=message.tokens,
        truncated=message.truncated,
    )


def item_from_proto(message: router_pb2.ItemResult) -> results.Classification | results.ItemFailure:
    """An answer or a failure of one item."""
    if message.WhichOneof("result") == "classification":
        return classification_from_proto(message.classification)
    return results.ItemFailure(error_from_item(message.error))


def policy_from_proto(message: admin_pb2.Policy) -> operations.Policy:
    """A policy as the router reports it."""
    forecast = message.forecast
    return operations.Policy(
        route=message.route,
        version=message.version,
        yaml=message.yaml,
        confidence=measure_from_proto(message.confidence),
        thresholds=_thresholds(message.thresholds),
        forecast=Forecast(
            accuracy=forecast.accuracy,
            full_depth_accuracy=forecast.full_depth_accuracy,
            expected_loss=forecast.expected_loss,
            mean_cost=forecast.mean_cost,
            exit_shares={e.exit: e.share for e in forecast.exits},
            escalation_ratio=forecast.escalation_ratio,
            examples=forecast.examples,
        ),
        source=message.source,
        expires_at=_time(message.expires_at) if message.HasField("expires_at") else None,
        guarantee=_guarantee(message),
    )


def status_from_proto(message: admin_pb2.GetStatusResponse) -> operations.RouterStatus:
    """Routes, tiers and the last reload."""
    return operations.RouterStatus(
        version=message.version,
        started_at=_time(message.started_at) if message.HasField("started_at") else None,
        routes=tuple(_route(route) for route in message.routes),
        tiers=tuple(
            operations.TierStatus(t.tier, t.address, t.reachable, t.in_flight, t.backend)
            for t in message.tiers
        ),
        reload=reload_from_proto(message.reload),
        worker=message.worker,
        workers=message.workers,
    )


def reload_from_proto(message: admin_pb2.ReloadStatus) -> operations.ReloadStatus:
    """How the last reload went."""
    attempted = message.HasField("last_attempt_at")
    return operations.ReloadStatus(
        last_succeeded=message.last_succeeded,
        last_attempt_at=_time(message.last_attempt_at) if attempted else None,
        error=message.error,
        restart_required=tuple(message.restart_required),
        config_hash=message.config_hash,
    )


def _route(message: admin_pb2.RouteStatus) -> operations.RouteStatus:
    return operations.RouteStatus(
        route=message.route,
        bundle_id=message.bundle_id,
        policy_version=message.policy_version,
        requests=message.requests,
        speedup=message.speedup,
        escalation_ratio=message.escalation_ratio,
        exits={e.exit: e.requests for e in message.exits},
        guarantee=_guarantee(message),
        audits=_audits(message.audits) if message.HasField("audits") else None,
    )


def _audits(message: admin_pb2.RouteAudits) -> operations.Audits:
    return operations.Audits(
        audited=message.audited,
        agreed=message.agreed,
        agreement_ratio=message.agreement_ratio,
        agreement_lower_bound=message.agreement_lower_bound,
    )


def _guarantee(message: admin_pb2.Policy | admin_pb2.RouteStatus) -> Guarantee | None:
    if not message.HasField("guarantee"):
        return None
    found = message.guarantee
    terms = Terms(
        Loss(found.loss),
        found.limit,
        Method(found.method),
        found.confidence if found.HasField("confidence") else DEFAULT_CONFIDENCE,
    )
    return Guarantee(terms, found.examples, found.observed, found.bound)


def _cost(message: router_pb2.Cost) -> results.Cost:
    return results.Cost(
        flops=message.flops,
        baseline_flops=message.baseline_flops,
        seconds=message.seconds,
        baseline_seconds=message.baseline_seconds,
        relative=message.relative,
        speedup=message.speedup,
    )


def _timing(message: router_pb2.Timing) -> results.Timing:
    steps = tuple(
        results.TierStep(
            tier=step.tier,
            total_seconds=step.total_seconds,
            queue_seconds=step.queue_seconds,
            tokenize_seconds=step.tokenize_seconds,
            compute_seconds=step.compute_seconds,
        )
        for step in message.tiers
    )
    return results.Timing(message.total_seconds, steps)


def _thresholds(entries: Iterable[common_pb2.ExitThreshold]) -> dict[str, float]:
    return {entry.exit: entry.threshold for entry in entries}


def _time(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)
