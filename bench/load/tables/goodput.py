"""Goodput: answers within the objective as ever more texts arrive, beside full depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from bench.load.arrivals import poisson
from bench.load.generator import Generator
from bench.load.summary import Summary, summarise
from bench.load.tables.setting import Setting, shown
from bench.publishing import Part, Table
from training import progress

TITLE = "Goodput"
# Rates of arrival, as multiples of what full depth answers in a closed loop.
MULTIPLES = (0.25, 0.5, 0.75, 0.85, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
IN_FLIGHT = 64
# Who has waited so long has given up: what an overload leaves behind ends before the next run.
TIMEOUT_SECONDS = 2.0
FULL, CASCADE = "full depth", "the cascade"
NOTE = (
    "Open loop, Poisson arrivals, the same of both, in turns; latency from the intended time. In "
    "bold the most answers within the objective. Sender behind: the longest that the sender was "
    "late by its own doing, which latency counts."
)


async def measure(setting: Setting, seconds: float, multiples: Sequence[float] = MULTIPLES) -> Part:
    """Both under every rate. seconds: of each run."""
    asks = {name: setting.ask(TIMEOUT_SECONDS, full_depth=name == FULL) for name in (FULL, CASCADE)}
    calibrating = Generator(setting.ask(60.0, full_depth=True), setting.texts)
    answered = [
        sent for sent in await calibrating.closed_loop(IN_FLIGHT, seconds) if not sent.error
    ]
    capacity = len(answered) / max((sent.done for sent in answered), default=seconds)
    found: dict[str, dict[float, Summary]] = {name: {} for name in asks}
    with progress.step(TITLE.lower(), len(multiples) * len(asks)) as bar:
        for rate in (capacity * multiple for multiple in multiples):
            times = poisson(rate, seconds, np.random.default_rng(setting.seed))
            for name, ask in asks.items():
                sent = await Generator(ask, setting.texts).open_loop(times)
                found[name][rate] = summarise(sent, setting.labels, setting.objective_seconds)
                bar.advance(f"{rate:.0f} a second, {name}")
    return part(setting, found)


def part(setting: Setting, found: dict[str, dict[float, Summary]]) -> Part:
    """Figures and the table."""
    best = {name: max(s.goodput for s in runs.values()) for name, runs in found.items()}
    rows = [
        [setting.name, f"{rate:.0f}", name, *_row(runs[rate], best[name])]
        for rate in next(iter(found.values()))
        for name, runs in found.items()
    ]
    times = best[CASCADE] / best[FULL] if best[FULL] else None
    objective = f"within {1000 * setting.objective_seconds:g} ms"
    said = "" if times is None else f"The cascade's most is {times:.2f} times that of full depth."
    columns = [
        *("bundle", "sent a second", "", objective, "p50 ms", "p99 ms", "given up"),
        "sender behind ms",
    ]
    figures = {
        "seed": setting.seed,
        "objective_seconds": setting.objective_seconds,
        "times_full_depth": times,
        "runs": {n: {f"{r:.2f}": asdict(s) for r, s in runs.items()} for n, runs in found.items()},
    }
    return Part(figures, [Table(TITLE, columns, rows, f"{NOTE} {said}")])


def _row(run: Summary, best: float) -> list[str]:
    good = f"{run.goodput:.0f} a second"
    given_up = 1.0 - run.answered / run.sent if run.sent else 0.0
    latency = [shown(run.latency[p]) if p in run.latency else "–" for p in ("p50", "p99")]
    shown_good = f"**{good}**" if run.goodput == best else good
    return [shown_good, *latency, f"{given_up:.1%}", shown(run.late)]
