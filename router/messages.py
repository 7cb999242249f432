"""Messages of the admin service, made from what they report."""

from __future__ import annotations

from google.protobuf import timestamp_pb2

from offramp.decision.guarantee import Guarantee
from offramp.decision.risk import Method
from offramp.decision.simulate import Forecast
from offramp.rpc import wire
from offramp.v1 import admin_pb2, common_pb2
from router.audit import Agreement
from router.objective import Solution
from router.plan import ActivePolicy
from router.reload import ReloadStatus
from router.route import Route
from router.window import Totals


def timestamp(seconds: float) -> timestamp_pb2.Timestamp:
    """Unix seconds as protobuf has them."""
    made = timestamp_pb2.Timestamp()
    made.FromNanoseconds(int(seconds * 1e9))
    return made


def solution_message(solution: Solution, route: Route) -> admin_pb2.Policy:
    """A policy that is not in force: no version, no source."""
    return admin_pb2.Policy(
        route=route.name,
        yaml=solution.settings.as_yaml(),
        confidence=wire.measure_to_proto(solution.settings.confidence),
        thresholds=[
            common_pb2.ExitThreshold(exit=name, threshold=threshold)
            for name, threshold in zip(route.exits, solution.thresholds, strict=True)
        ],
        forecast=_forecast(solution.forecast),
        guarantee=_guarantee(solution.guarantee),
    )


def policy_message(policy: ActivePolicy) -> admin_pb2.Policy:
    """A policy in force."""
    message = solution_message(policy.solution, policy.route)
    message.version = policy.version
    message.source = policy.source
    if policy.expires_at is not None:
        message.expires_at.CopyFrom(timestamp(policy.expires_at))
    return message


def route_status(
    policy: ActivePolicy, totals: Totals, agreement: Agreement
) -> admin_pb2.RouteStatus:
    """A route and its live figures; ratios are 0 where the window is empty."""
    return admin_pb2.RouteStatus(
        route=policy.route.name,
        bundle_id=policy.route.manifest.id,
        policy_version=policy.version,
        requests=totals.requests,
        speedup=totals.speedup if totals.requests else 0.0,
        escalation_ratio=totals.escalation_ratio if totals.requests else 0.0,
        exits=[
            admin_pb2.ExitCount(exit=name, requests=totals.exits[name])
            for name in policy.route.exits
        ],
        guarantee=_guarantee(policy.solution.guarantee),
        audits=_audits(agreement),
    )


def reload_message(status: ReloadStatus) -> admin_pb2.ReloadStatus:
    """The last attempt to load the config."""
    return admin_pb2.ReloadStatus(
        last_succeeded=status.succeeded,
        last_attempt_at=timestamp(status.attempted_at),
        error=status.error,
        restart_required=status.restart_required,
        config_hash=status.hash,
    )


def _guarantee(guarantee: Guarantee | None) -> admin_pb2.PolicyGuarantee | None:
    if guarantee is None:
        return None
    terms = guarantee.terms
    return admin_pb2.PolicyGuarantee(
        statement=str(guarantee),
        loss=terms.loss,
        limit=terms.limit,
        method=terms.method,
        confidence=None if terms.method is Method.CRC else terms.confidence,
        examples=guarantee.examples,
        observed=guarantee.observed,
        bound=guarantee.bound,
    )


def _audits(agreement: Agreement) -> admin_pb2.RouteAudits | None:
    if not agreement.audited:
        return None
    return admin_pb2.RouteAudits(
        audited=agreement.audited,
        agreed=agreement.agreed,
        agreement_ratio=agreement.ratio,
        agreement_lower_bound=agreement.lower_bound,
    )


def _forecast(forecast: Forecast) -> admin_pb2.PolicyForecast:
    return admin_pb2.PolicyForecast(
        accuracy=forecast.accuracy,
        full_depth_accuracy=forecast.full_depth_accuracy,
        expected_loss=forecast.expected_loss,
        mean_cost=forecast.mean_cost,
        speedup=forecast.speedup,
        escalation_ratio=forecast.escalation_ratio,
        exits=[
            admin_pb2.ExitShare(exit=name, share=share)
            for name, share in forecast.exit_shares.items()
        ],
        examples=forecast.examples,
    )
