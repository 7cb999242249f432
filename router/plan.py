"""Plans: a policy in force, and what of it travels with one request."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from offramp.decision.confidence import Measure
from offramp.decision.plan import ExitPlan
from offramp.rpc import wire
from offramp.v1 import common_pb2, router_pb2
from router.objective import Solution
from router.policy import Bounds, Wishes, full_depth, restrict, tier_spans
from router.route import Route

Source = Literal["file", "admin"]


@dataclass(frozen=True, slots=True)
class TierLeg:
    """One tier of a request's way: its place in the cascade, and the plan that it is sent."""

    index: int
    plan: common_pb2.ExitPlan


@dataclass(frozen=True, slots=True)
class RequestPlan:
    """The way of one request: the tiers it may visit, in order, and where it must end.

    told: what every answer says of it, with the thresholds of all exits of the route.
    """

    legs: tuple[TierLeg, ...]
    last_exit: str
    told: router_pb2.Classification


@dataclass(frozen=True, slots=True)
class ActivePolicy:
    """A solved policy in force. Immutable: a request keeps the one that it began with.

    expires_at: Unix seconds; None where it holds until the next change.
    plan: of requests that wish for nothing else; full_depth: of those that are audited.
    """

    route: Route
    solution: Solution
    version: int
    source: Source
    expires_at: float | None
    plan: RequestPlan
    full_depth: RequestPlan

    @property
    def margin_seconds(self) -> float:
        """How long before its deadline a request stops waiting for a better answer."""
        return self.solution.settings.deadline_margin_ms / 1000

    @property
    def fails_on_loss(self) -> bool:
        """Whether a request that needed a lost tier fails rather than take a lesser answer."""
        return self.solution.settings.on_tier_loss == "fail"

    def plan_for(self, wishes: Wishes) -> RequestPlan:
        """The plan of a request with wishes. Raises InvalidRequestError."""
        route, settings = self.route, self.solution.settings
        bounds = restrict(
            wishes,
            exits=route.exits,
            tiers=route.exit_tiers,
            costs=route.relative_costs,
            thresholds=self.solution.thresholds,
            allowed=settings.overrides,
        )
        return make_plan(route, bounds, settings.confidence)


def activate(
    route: Route,
    solution: Solution,
    version: int,
    source: Source = "file",
    expires_at: float | None = None,
) -> ActivePolicy:
    """Put a solution in force: everything that requests share is made here, once."""
    measure = solution.settings.confidence
    plan = make_plan(route, Bounds(solution.thresholds, len(route.exits) - 1), measure)
    deepest = make_plan(route, full_depth(route.exit_tiers), measure)
    return ActivePolicy(route, solution, version, source, expires_at, plan, deepest)


def make_plan(route: Route, bounds: Bounds, measure: Measure) -> RequestPlan:
    """Split bounds into a leg per tier that the request may visit."""
    legs = [
        TierLeg(index, wire.plan_to_proto(_tier_plan(route, bounds, measure, start, end)))
        for index, (start, end) in enumerate(tier_spans(route.exit_tiers))
        if end > bounds.first and start <= bounds.last
    ]
    told = router_pb2.Classification(
        route=route.name,
        bundle_id=route.manifest.id,
        thresholds=[
            common_pb2.ExitThreshold(exit=name, threshold=threshold)
            for name, threshold in zip(route.exits, bounds.thresholds, strict=True)
        ],
    )
    return RequestPlan(tuple(legs), route.exits[bounds.last], told)


def _tier_plan(route: Route, bounds: Bounds, measure: Measure, start: int, end: int) -> ExitPlan:
    last = min(end - 1, bounds.last)
    names = route.exits[start : last + 1]
    thresholds = dict(zip(names, bounds.thresholds[start : last + 1], strict=True))
    return ExitPlan(MappingProxyType(thresholds), route.exits[last], measure)
