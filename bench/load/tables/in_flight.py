"""From one text in flight to thousands: cost per answer, rows to a batch, and what is refused.

And how soon health and metrics are answered meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain

import numpy as np

from bench.load.generator import Generator
from bench.load.summary import Summary, summarise
from bench.load.tables.setting import Setting, shown
from bench.load.usage import batch_sizes, spent, usage
from bench.load.watch import Seen, watching
from bench.publishing import Part, Table
from bench.services import running
from offramp.client.connection import Retries
from training import progress

COSTS, BATCHES, REFUSALS = "Texts in flight", "Rows to a batch", "Too many in flight"
WATCHED = "Health and metrics meanwhile"
LEVELS = (1, 8, 64, 512, 2000)
# More callers than a router takes that is told to take half of them: with as many as it takes by
# itself, one sender is busier than the router.
CROWD = 512
# Others who ask one text after the other meanwhile.
LATECOMERS = 4
# Between two of what is asked to see how soon it is answered.
GAP_SECONDS = 0.02
HEALTH, PAGE = "health", "page"
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
    """What became of too many, and of some in a process of their own that came meanwhile.

    errors: by reason.  late: seconds of the others, each until its answer or its refusal.
    """

    callers: int
    sent: int
    answered: int
    errors: Mapping[str, int]
    late: Seen


@dataclass(frozen=True, slots=True)
class Watched:
    """How soon health and metrics were answered with so many texts in flight, by process."""

    in_flight: int
    health: Mapping[str, Seen]
    page: Mapping[str, Seen]


async def measure(
    setting: Setting, seconds: float, levels: Sequence[int] = LEVELS, crowd_size: int = CROWD
) -> Part:
    """All levels, for so many seconds each, then more texts at once than are taken."""
    found, watched = [], []
    with progress.step(COSTS.lower(), len(levels) + 3) as bar:
        for in_flight in levels:
            found.append(await _level(setting, in_flight, seconds))
            bar.advance(f"{in_flight} in flight")
        for in_flight in (0, levels[-1]):
            watched.append(await _watched(setting, in_flight, seconds))
            bar.advance("watched")
        crowd = await _crowd(setting, crowd_size, seconds)
        bar.advance()
    return part(setting, found, watched, crowd)


async def _level(setting: Setting, in_flight: int, seconds: float) -> Level:
    generator = Generator(setting.ask(TIMEOUT_SECONDS), setting.texts)
    before = await usage(setting.services.pages)
    sent = await generator.closed_loop(in_flight, seconds)
    after = await usage(setting.services.pages)
    summary = summarise(sent, setting.labels, setting.objective_seconds)
    return Level(
        in_flight, summary, spent(before, after, summary.answered), batch_sizes(before, after)
    )


async def _crowd(setting: Setting, size: int, seconds: float) -> Crowd:
    """So many callers, each with its next text as soon as it knows of the last."""
    limits = {"max_in_flight": size // 2}
    async with running(setting.bundle, retries=Retries(attempts=1), limits=limits) as services:
        ask = replace(setting, services=services).ask(TIMEOUT_SECONDS)
        router = f"text={services.where['router'].address}"
        async with watching(GAP_SECONDS, dict.fromkeys(range(LATECOMERS), router)) as seen:
            found = await Generator(ask, setting.texts).closed_loop(size, seconds)
    summary = summarise(found, setting.labels, setting.objective_seconds)
    late = Seen(
        *(
            list(chain.from_iterable(getattr(s, how) for s in seen.values()))
            for how in ("answered", "refused")
        )
    )
    return Crowd(size, summary.sent, summary.answered, summary.errors, late)


async def _watched(setting: Setting, in_flight: int, seconds: float) -> Watched:
    where = setting.services.where
    asked = {(HEALTH, name): f"health={ready.address}" for name, ready in where.items()}
    asked |= {(PAGE, name): f"page={ready.metrics}" for name, ready in where.items()}
    async with watching(GAP_SECONDS, asked) as seen:
        if in_flight:
            generator = Generator(setting.ask(TIMEOUT_SECONDS), setting.texts)
            await generator.closed_loop(in_flight, seconds)
        else:
            await asyncio.sleep(seconds)
    health, page = ({name: seen[kind, name] for name in where} for kind in (HEALTH, PAGE))
    return Watched(in_flight, health, page)


def part(
    setting: Setting, found: Sequence[Level], watched: Sequence[Watched], crowd: Crowd
) -> Part:
    """Figures and four tables."""
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
    late = crowd.late
    refusals = [
        [
            setting.name,
            f"{crowd.callers:,}",
            f"{crowd.sent:,}",
            f"{crowd.answered:,}",
            reasons,
            f"{len(late.refused):,} of {len(late.refused) + len(late.answered):,}",
            _percentiles(late.refused),
            _percentiles(late.answered),
        ]
    ]
    meanwhile = [
        [
            setting.name,
            f"{one.in_flight:,}",
            *(_percentiles(seen.answered) for seen in (*one.health.values(), *one.page.values())),
        ]
        for one in watched
    ]
    names = list(watched[0].health)
    named = [f"{name} ms" for name in processes]
    return Part(
        {
            "seed": setting.seed,
            "levels": [asdict(level) for level in found],
            "watched": {
                str(one.in_flight): {
                    kind: {name: _figures(seen.answered) for name, seen in asked.items()}
                    for kind, asked in ((HEALTH, one.health), (PAGE, one.page))
                }
                for one in watched
            },
            "crowd": {
                **{key: getattr(crowd, key) for key in ("callers", "sent", "answered", "errors")},
                "late": {
                    "answered": _figures(late.answered),
                    "refused": _figures(late.refused),
                },
            },
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
                [
                    *("bundle", "callers", "sent", "answered", "refused"),
                    *("of others", "refused after ms", "answered after ms"),
                ],
                refusals,
                "Closed loop on a router that takes half as many (`limits.max_in_flight`); who is "
                "refused asks again at once. Others: "
                f"{LATECOMERS} callers in a process of their own, one text after the other; "
                "median, 99th percentile and longest.",
            ),
            Table(
                WATCHED,
                [
                    *("bundle", "texts in flight"),
                    *(f"{name}: health, ms" for name in names),
                    *(f"{name}: page, ms" for name in names),
                ],
                meanwhile,
                "Median, 99th percentile and longest, from a process of its own that asks each "
                f"{1000 * GAP_SECONDS:g} ms after its last answer. Page: of metrics, whole.",
            ),
        ],
    )


def _figures(seconds: Sequence[float]) -> dict[str, float]:
    """How many, and of them the median, the 99th percentile and the longest."""
    if not seconds:
        return {"count": 0}
    named = zip(("p50", "p99", "longest"), np.percentile(seconds, (50, 99, 100)), strict=True)
    return {"count": len(seconds), **{name: float(value) for name, value in named}}


def _percentiles(seconds: Sequence[float]) -> str:
    """The same in milliseconds, without how many."""
    _, *found = _figures(seconds).values()
    return " / ".join(f"{1000 * value:.1f}" for value in found) or "–"
