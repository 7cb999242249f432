"""Metrics of what is in force: tiers, policies, config."""

from __future__ import annotations

import platform

from prometheus_client import CollectorRegistry, Counter, Gauge

import offramp
from router.plan import ActivePolicy
from router.tiers import Tier


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
        self._expected = gauge(
            "policy_expected_cost",
            "Mean relative cost that the bundle's evidence expects of the policy.",
            "route",
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
        self._expected.labels(route.name).set(solution.forecast.mean_cost)
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
