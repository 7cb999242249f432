"""Metrics of audits: how often answers are those of full depth, and what it costs to know."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge

RESULTS = ("agreed", "disagreed", "dropped")


class Tally(Protocol):
    """What the gauges show."""

    @property
    def ratio(self) -> float:
        """Share that agreed."""

    @property
    def lower_bound(self) -> float:
        """Of the true share."""


class AuditMetrics:
    """All routes' series."""

    def __init__(self, registry: CollectorRegistry, routes: Iterable[str]) -> None:
        self._audits = Counter(
            "offramp_audits",
            "Early answers held against full depth, by result; dropped: there was no time.",
            ("route", "result"),
            registry=registry,
        )
        self._flops = Counter(
            "offramp_audit_cost_flops",
            "Floating point operations spent on audits.",
            ("route",),
            registry=registry,
        )
        self._ratio = Gauge(
            "offramp_audit_agreement_ratio",
            "Share of early answers that are those of full depth, under the policy in force.",
            ("route",),
            registry=registry,
        )
        self._bound = Gauge(
            "offramp_audit_agreement_lower_bound",
            "What that share is at least, with 95% confidence.",
            ("route",),
            registry=registry,
        )
        for route in routes:
            self._flops.labels(route)
            for result in RESULTS:
                self._audits.labels(route, result)

    def watch(self, route: str, tally: Callable[[], Tally]) -> None:
        """Show a route's tally."""
        self._ratio.labels(route).set_function(lambda: tally().ratio)
        self._bound.labels(route).set_function(lambda: tally().lower_bound)

    def audited(self, route: str, *, agrees: bool) -> None:
        """Count an audit."""
        self._audits.labels(route, "agreed" if agrees else "disagreed").inc()

    def dropped(self, route: str) -> None:
        """Count an audit that there was no time for."""
        self._audits.labels(route, "dropped").inc()

    def spent(self, route: str, flops: float) -> None:
        """Book what an audit cost."""
        self._flops.labels(route).inc(flops)
