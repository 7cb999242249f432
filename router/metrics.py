"""Metrics of the router, in a registry of its own; only routes and exits that exist are labels."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

import offramp
from offramp.errors import OfframpError
from offramp.v1 import router_pb2
from router.plan import ActivePolicy
from router.tiers import Tier
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


class AnswerMetrics:
    """What requests came to."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"offramp_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: Iterable[float], *labels: str) -> Histogram:
            buckets = tuple(buckets)
            return Histogram(f"offramp_{name}", text, labels, registry=registry, buckets=buckets)

        self._requests = counter(
            "requests", "Texts answered, by exit and outcome.", "route", "exit", "outcome"
        )
        self._errors = counter(
            "request_errors", "Texts without an answer, by code.", "route", "code"
        )
        self._escalations = counter(
            "escalations", "Texts that the first tier did not answer.", "route"
        )
        self._flops = counter("cost_flops", "Floating point operations spent.", "route")
        self._baseline_flops = counter(
            "baseline_flops", "Floating point operations that full depth would have taken.", "route"
        )
        self._seconds = counter("cost_seconds", "Compute seconds spent.", "route")
        self._baseline_seconds = counter(
            "baseline_seconds", "Compute seconds that full depth would have taken.", "route"
        )
        self._confidence = histogram(
            "confidence", "Calibrated confidence of answers.", CONFIDENCE_BUCKETS, "route", "exit"
        )
        self._latency = histogram(
            "latency_seconds", "From arrival to answer.", SECONDS_BUCKETS, "route", "exit"
        )
        self._tier_latency = histogram(
            "tier_latency_seconds",
            "Of one text at one tier, network included.",
            SECONDS_BUCKETS,
            "tier",
        )
        self._windows: dict[str, Window] = {}
        self._speedup = Gauge(
            "offramp_speedup_ratio",
            "Baseline FLOPs over FLOPs spent, over the last 60 seconds.",
            ("route",),
            registry=registry,
        )
        self._escalation_ratio = Gauge(
            "offramp_escalation_ratio",
            "Share of answers beyond the first tier, over the last 60 seconds.",
            ("route",),
            registry=registry,
        )

    def add_route(self, name: str) -> None:
        """Make the series of a route, so that they start at zero rather than be absent."""
        window = self._windows[name] = Window(time.monotonic)
        for family in (
            self._escalations,
            self._flops,
            self._baseline_flops,
            self._seconds,
            self._baseline_seconds,
        ):
            family.labels(name)
        self._speedup.labels(name).set_function(lambda: window.totals().speedup)
        self._escalation_ratio.labels(name).set_function(lambda: window.totals().escalation_ratio)

    def window(self, route: str) -> Window:
        """The sliding window of a route."""
        return self._windows[route]

    def answered(self, answer: router_pb2.Classification) -> None:
        """Count one answer."""
        route, exit_name, cost = answer.route, answer.exit, answer.cost
        self._requests.labels(route, exit_name, OUTCOMES[answer.outcome]).inc()
        if answer.escalated:
            self._escalations.labels(route).inc()
        self._flops.labels(route).inc(cost.flops)
        self._baseline_flops.labels(route).inc(cost.baseline_flops)
        self._seconds.labels(route).inc(cost.seconds)
        self._baseline_seconds.labels(route).inc(cost.baseline_seconds)
        self._confidence.labels(route, exit_name).observe(answer.confidence)
        self._latency.labels(route, exit_name).observe(answer.timing.total_seconds)
        for step in answer.timing.tiers:
            self._tier_latency.labels(step.tier).observe(step.total_seconds)
        window = self._windows[route]
        window.add(exit_name, answer.escalated, cost.flops, cost.baseline_flops)

    def failed(self, route: str | None, error: OfframpError) -> None:
        """Count one text (or one whole request) that got an error."""
        self._errors.labels(route or NO_ROUTE, error.code.name).inc()


class StateMetrics:
    """What is in force: tiers, policies, config."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"offramp_{name}", text, labels, registry=registry)

        self._in_flight = gauge("tier_rows_in_flight", "Texts sent and not answered.", "tier")
        self._up = gauge("tier_up", "1 where the tier is connected.", "tier")
        self._threshold = gauge(
            "threshold", "Confidence that answers at an exit; 1 is never.", "route", "exit"
        )
        self._version = gauge("policy_version", "Version of the policy in force.", "route")
        self._target = gauge(
            "policy_target_cost", "Mean relative cost that the policy asks for.", "route"
        )
        self._successful = gauge("config_last_reload_successful", "1 after a good reload.")
        self._reloaded_at = gauge(
            "config_last_reload_timestamp_seconds", "When the config was last tried."
        )
        self._reloads = Counter(
            "offramp_config_reloads", "Reloads tried, by result.", ("result",), registry=registry
        )
        self._info = gauge("config_info", "Hash of the config in force.", "hash")
        build = gauge("build_info", "Version of this program.", "version", "python")
        build.labels(offramp.__version__, platform.python_version()).set(1)
        for result in ("success", "failure"):
            self._reloads.labels(result)

    def add_tier(self, tier: Tier) -> None:
        """Watch a tier."""
        self._in_flight.labels(tier.name).set_function(lambda: tier.stream.in_flight)
        self._up.labels(tier.name).set_function(lambda: tier.stream.available)

    def policy(self, policy: ActivePolicy) -> None:
        """Show the policy that came into force."""
        route, solution = policy.route, policy.solution
        for name, threshold in zip(route.exits, solution.thresholds, strict=True):
            self._threshold.labels(route.name, name).set(threshold)
        self._version.labels(route.name).set(policy.version)
        target = solution.settings.objective.target_cost
        if target is not None:
            self._target.labels(route.name).set(target)
        else:
            self._target.remove(route.name)

    def reload(self, *, succeeded: bool, at: float, config_hash: str) -> None:
        """Show an attempt, at Unix time `at`, to load the config; `config_hash` is in force."""
        self._reloads.labels("success" if succeeded else "failure").inc()
        self.config(succeeded=succeeded, at=at, config_hash=config_hash)

    def config(self, *, succeeded: bool, at: float, config_hash: str) -> None:
        """Show the config in force."""
        self._successful.set(succeeded)
        self._reloaded_at.set(at)
        self._info.clear()
        self._info.labels(config_hash).set(1)
