"""What a tier tells Prometheus: batches, queues, stages, exits. Names begin with offramp_tier_."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.engine.row import Answer, Row

SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class TierMetrics:
    """The metrics of one tier, with stages named by the exit they end at."""

    def __init__(self, registry: CollectorRegistry, exits: tuple[str, ...]) -> None:
        self._exits = exits
        self._registry = registry
        batch_rows = Histogram(
            "offramp_tier_batch_rows",
            "Rows that ran together, by stage.",
            ("stage",),
            buckets=ROWS,
            registry=registry,
        )
        self._batch_rows = [batch_rows.labels(name) for name in exits]
        self._queue_seconds = self._by_stage(
            "offramp_tier_queue_seconds", "Time that a row waited for the hardware, by stage."
        )
        self._stage_seconds = self._by_stage(
            "offramp_tier_stage_seconds", "Time that a batch took, by stage."
        )
        rows_total = Counter(
            "offramp_tier_rows_total",
            "Rows that ended, by the exit that answered (empty: none) and why they ended.",
            ("exit", "outcome"),
            registry=registry,
        )
        self._rows_total = cache(rows_total.labels)
        self._rejected_total = Counter(
            "offramp_tier_rejected_total",
            "Items that were not taken in, by reason.",
            ("reason",),
            registry=registry,
        )
        self._tokens_total = Counter(
            "offramp_tier_tokens_total", "Tokens of the rows taken in.", registry=registry
        )

    def _by_stage(self, name: str, help_text: str) -> list[Histogram]:
        family = Histogram(name, help_text, ("stage",), buckets=SECONDS, registry=self._registry)
        return [family.labels(exit_name) for exit_name in self._exits]

    def watch_queues(self, depth: Callable[[], int], in_flight: Callable[[int], int]) -> None:
        """Read the queue depth, and the rows waiting for or in each stage, at every scrape."""
        Gauge(
            "offramp_tier_queue_depth",
            "Rows that have not begun, without background rows.",
            registry=self._registry,
        ).set_function(depth)
        gauge = Gauge(
            "offramp_tier_stage_rows",
            "Rows that wait for a stage or are in it.",
            ("stage",),
            registry=self._registry,
        )
        for stage, name in enumerate(self._exits):
            gauge.labels(name).set_function(partial(in_flight, stage))

    def describe(self, tier: str, bundle: str, backend: str) -> None:
        """Say what is being served, as labels of a constant 1."""
        names = ("tier", "bundle_id", "backend")
        info = Gauge(
            "offramp_tier_bundle_info", "The bundle in service.", names, registry=self._registry
        )
        info.labels(tier, bundle, backend).set(1)

    def encoded(self, tokens: int) -> None:
        """Count the tokens of rows that were tokenised."""
        self._tokens_total.inc(tokens)

    def ran(self, stage: int, seconds: float, waits: Sequence[float], *, background: bool) -> None:
        """Book a batch: how long it took, and how long each of its rows had waited for it.

        What background rows wait tells nothing of the queue.
        """
        if not background:
            observe = self._queue_seconds[stage].observe
            for wait in waits:
                observe(wait)
        self._batch_rows[stage].observe(len(waits))
        self._stage_seconds[stage].observe(seconds)

    def ended(self, rows: Iterable[Row]) -> None:
        """Count rows that ended."""
        for (name, outcome), count in Tally(map(self._ending, rows)).items():
            self._rows_total(name, outcome).inc(count)

    def _ending(self, row: Row) -> tuple[str, str]:
        outcome = row.outcome
        if isinstance(outcome, Answer):
            if outcome.deadline_reached:
                return self._exits[outcome.stage], "deadline"
            return self._exits[outcome.stage], "confident" if outcome.confident else "last_exit"
        return "", "cancelled" if outcome is None else outcome.reason.lower()

    def rejected(self, reason: str) -> None:
        """Count an item that was not taken in."""
        self._rejected_total.labels(reason.lower()).inc()
