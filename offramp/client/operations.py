"""What operators read of a router: its status, and the policy of a route."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from offramp.decision.confidence import Measure
from offramp.decision.guarantee import Guarantee
from offramp.decision.simulate import Forecast


@dataclass(frozen=True, slots=True)
class Audits:
    """Answers that left early held against full depth since the policy came into force.

    agreement_lower_bound: what the true share is at least, with 95% confidence.
    """

    audited: int
    agreed: int
    agreement_ratio: float
    agreement_lower_bound: float


@dataclass(frozen=True, slots=True)
class RouteStatus:
    """Live figures of a route over the sliding window of the ready gauges.

    audits: None where nothing was audited.
    """

    route: str
    bundle_id: str
    policy_version: int
    requests: int
    speedup: float
    escalation_ratio: float
    exits: Mapping[str, int]
    guarantee: Guarantee | None
    audits: Audits | None


@dataclass(frozen=True, slots=True)
class TierStatus:
    """A tier as the router sees it."""

    tier: str
    address: str
    reachable: bool
    in_flight: int
    backend: str


@dataclass(frozen=True, slots=True)
class ReloadStatus:
    """The last reload; `error` is empty after a success.

    restart_required: fixed settings that differ in the file and need a restart.
    """

    last_succeeded: bool
    last_attempt_at: datetime | None
    error: str
    restart_required: tuple[str, ...]
    config_hash: str


@dataclass(frozen=True, slots=True)
class RouterStatus:
    """What a router serves, and how it is doing.

    worker: which one says so, from 1 on, of the `workers` that share the address; figures are its.
    """

    version: str
    started_at: datetime | None
    routes: tuple[RouteStatus, ...]
    tiers: tuple[TierStatus, ...]
    reload: ReloadStatus
    worker: int
    workers: int


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy in force, or one that was checked, and what the bundle's evidence says of it.

    yaml: the policy part of the config.  source: "file" or "admin".
    guarantee: what was certified of the thresholds; None where the objective asks for none.
    """

    route: str
    version: int
    yaml: str
    confidence: Measure
    thresholds: Mapping[str, float]
    forecast: Forecast
    source: str
    expires_at: datetime | None
    guarantee: Guarantee | None
