"""Metrics of what requests came to; only routes and exits that exist are label values."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from offramp.errors import OfframpError
from offramp.v1 import router_pb2
from router.route import Route
from router.window import Window

# Stands for routes that clients ask for and nobody serves.
NO_ROUTE = "(unknown)"
OUTCOMES = {
    value: name.removeprefix("OUTCOME_").lower() for name, value in router_pb2.Outcome.items()
}
CONFIDENCE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 1)
SECONDS_BUCKETS = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1, 2.5, 5, 10),
)


class Families:
    """The metrics, before their labels."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"offramp_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"offramp_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"offramp_{name}", text, labels, registry=registry, buckets=buckets)

        self.requests = counter(
            "requests", "Texts answered, by exit and outcome.", "route", "exit", "outcome"
        )
        self.errors = counter(
            "request_errors", "Texts without an answer, by code.", "route", "code"
        )
        self.escalations = counter(
            "escalations", "Texts that the first tier did not answer.", "route"
        )
        self.flops = counter("cost_flops", "Floating point operations spent.", "route")
        self.baseline_flops = counter(
            "baseline_flops", "Floating point operations that full depth would have taken.", "route"
        )
        self.seconds = counter("cost_seconds", "Compute seconds spent.", "route")
        self.baseline_seconds = counter(
            "baseline_seconds", "Compute seconds that full depth would have taken.", "route"
        )
        self.confidence = histogram(
            "confidence", "Calibrated confidence of answers.", CONFIDENCE_BUCKETS, "route", "exit"
        )
        self.latency = histogram(
            "latency_seconds", "From arrival to answer.", SECONDS_BUCKETS, "route", "exit"
        )
        self.tier_latency = histogram(
            "tier_latency_seconds",
            "Of one text at one tier, network included.",
            SECONDS_BUCKETS,
            "tier",
        )
        self.speedup = gauge(
            "speedup_ratio", "Baseline FLOPs over FLOPs spent, over the last 60 seconds.", "route"
        )
        self.escalation_ratio = gauge(
            "escalation_ratio",
            "Share of answers beyond the first tier, over the last 60 seconds.",
            "route",
        )


@dataclass(frozen=True, slots=True)
class ExitSeries:
    """Series of one exit; `requests` by outcome."""

    requests: dict[router_pb2.Outcome.ValueType, Counter]
    confidence: Histogram
    latency: Histogram


class RouteSeries:
    """Series of one route, found once so that an answer costs no look-up by label.

    They exist from the start: a series that begins at zero can be rated, an absent one cannot.
    """

    def __init__(self, route: Route, families: Families) -> None:
        self.window = window = Window(time.monotonic)
        name = route.name
        self._escalations = families.escalations.labels(name)
        self._flops = families.flops.labels(name)
        self._baseline_flops = families.baseline_flops.labels(name)
        self._seconds = families.seconds.labels(name)
        self._baseline_seconds = families.baseline_seconds.labels(name)
        self._exits = {
            exit_name: ExitSeries(
                {v: families.requests.labels(name, exit_name, o) for v, o in OUTCOMES.items() if v},
                families.confidence.labels(name, exit_name),
                families.latency.labels(name, exit_name),
            )
            for exit_name in route.exits
        }
        self._tiers = {tier.name: families.tier_latency.labels(tier.name) for tier in route.tiers}
        families.speedup.labels(name).set_function(lambda: window.totals().speedup)
        families.escalation_ratio.labels(name).set_function(
            lambda: window.totals().escalation_ratio
        )

    def answered(self, answer: router_pb2.Classification) -> None:
        """Count one answer."""
        cost, timing, series = answer.cost, answer.timing, self._exits[answer.exit]
        series.requests[answer.outcome].inc()
        series.confidence.observe(answer.confidence)
        series.latency.observe(timing.total_seconds)
        for step in timing.tiers:
            self._tiers[step.tier].observe(step.total_seconds)
        if answer.escalated:
            self._escalations.inc()
        self._flops.inc(cost.flops)
        self._baseline_flops.inc(cost.baseline_flops)
        self._seconds.inc(cost.seconds)
        self._baseline_seconds.inc(cost.baseline_seconds)
        self.window.add(answer.exit, answer.escalated, cost.flops, cost.baseline_flops)


class AnswerMetrics:
    """All routes' series."""

    def __init__(self, registry: CollectorRegistry, routes: Iterable[Route]) -> None:
        self._families = Families(registry)
        self._routes = {route.name: RouteSeries(route, self._families) for route in routes}

    def window(self, route: str) -> Window:
        """The sliding window of a route."""
        return self._routes[route].window

    def answered(self, answer: router_pb2.Classification) -> None:
        """Count one answer."""
        self._routes[answer.route].answered(answer)

    def failed(self, route: str | None, error: OfframpError) -> None:
        """Count one text (or one whole request) that got an error; None: no route of ours."""
        self._families.errors.labels(route or NO_ROUTE, error.code.name).inc()
