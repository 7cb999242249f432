"""From one text in flight to thousands: cost per answer, rows to a batch, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from bench.load.generator import Generator, Sent
from bench.load.summary import Summary, summarise
from bench.load.tables.setting import Setting, shown
from bench.load.usage import batch_sizes, spent, usage
from bench.publishing import Part, Table
from training import progress

COSTS, BATCHES, REFUSALS = "Texts in flight", "Rows to a batch", "Too many in flight"
LEVELS = (1, 8, 64, 512, 2000)
# As many callers at once as no router takes by default; and who comes while they wait.
CROWD, LATECOMERS, GAP_SECONDS = 6000, 50, 0.02
TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Level:
    """A run with so many in flight. cpu_ms: per answer, by process.  rows: of a batch, by stage."""

    in_flight: int
    summary: Summary
    cpu_ms: Mapping[str, float]
    rows: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Crowd:
    """What became of those who came at once, and of those who came while they waited.

    errors: of both, by reason.  seconds: until each that was refused knew.
    """

    sent: int
    answered: int
    errors: Mapping[str, int]
    seconds: Sequence[float]


async def measure(
    setting: Setting, seconds: float, levels: Sequence[int] = LEVELS, crowd_size: int = CROWD
) -> Part:
    """All levels, for so many seconds each, then more texts at once than are taken."""
    found = []
    with progress.step(COSTS.lower(), len(levels) + 1) as bar:
        for in_flight in levels:
            found.append(await _level(setting, in_flight, seconds))
            bar.advance(f"{in_flight} in flight")
        crowd = await _crowd(setting, crowd_size)
        bar.advance()
    return part(setting, found, crowd)


async def _level(setting: Setting, in_flight: int, seconds: float) -> Level:
    generator = Generator(setting.ask(TIMEOUT_SECONDS), setting.texts)
    before = await usage(setting.services.pages)
    sent = await generator.closed_loop(in_flight, seconds)
    after = await usage(setting.services.pages)
    summary = summarise(sent, setting.labels, setting.objective_seconds)
    return Level(
        in_flight, summary, spent(before, after, summary.answered), batch_sizes(before, after)
    )


async def _crowd(setting: Setting, size: int) -> Crowd:
    """So many at once; then one by one some more."""
    ask = setting.ask(TIMEOUT_SECONDS)
    first = asyncio.create_task(Generator(ask, setting.texts).open_loop(np.zeros(size)))
    await asyncio.sleep(0)
    late: list[Sent] = []
    for _ in range(LATECOMERS):
        late += await Generator(ask, setting.texts).open_loop(np.zeros(1))
        await asyncio.sleep(GAP_SECONDS)
    everyone = [*(await first), *late]
    summary = summarise(everyone, setting.labels, setting.objective_seconds)
    refused = [one.done - one.sent for one in everyone if one.error]
    return Crowd(summary.sent, summary.answered, summary.errors, refused)


def part(setting: Setting, found: Sequence[Level], crowd: Crowd) -> Part:
    """Figures and three tables."""
    processes = list(found[0].cpu_ms)
    stages = list(dict.fromkeys(stage for level in found for stage in level.rows))
    costs = [
        [
            setting.name,
            f"{level.in_flight:,}",
            f"{level.summary.throughput:.0f}",
            *(f"{level.cpu_ms[name]:.2f}" for name in processes),
            f"{sum(level.cpu_ms.values()):.2f}",
            *(shown(level.summary.latency[p]) for p in ("p50", "p99")),
        ]
        for level in found
        if level.summary.answered
    ]
    batches = [
        [
            setting.name,
            f"{level.in_flight:,}",
            *(f"{level.rows[s]:.1f}" if s in level.rows else "–" for s in stages),
        ]
        for level in found
    ]
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in crowd.errors.items()) or "none"
    waited = [np.percentile(crowd.seconds, q) for q in (0, 50, 100)] if crowd.seconds else []
    after = " / ".join(f"{seconds:.1f}" for seconds in waited) or "–"
    refusals = [[setting.name, f"{crowd.sent:,}", f"{crowd.answered:,}", reasons, after]]
    named = [f"{name} ms" for name in processes]
    return Part(
        {
            "seed": setting.seed,
            "levels": [asdict(level) for level in found],
            "crowd": asdict(crowd),
        },
        [
            Table(
                COSTS,
                ["bundle", "in flight", "per second", *named, "all ms", "p50 ms", "p99 ms"],
                costs,
                "Closed loop. Processor milliseconds per answer, by process and of all.",
            ),
            Table(
                BATCHES,
                ["bundle", "in flight", *stages],
                batches,
                "Means, by the exit that a stage ends at.",
            ),
            Table(
                REFUSALS,
                ["bundle", "sent", "answered", "refused", "refused after s"],
                refusals,
                f"All texts at once but the last {LATECOMERS}, which come in the second after. "
                "Refused after: the first, the median and the last, as their caller sees it, which "
                "sends and hears of all the others meanwhile.",
            ),
        ],
    )
