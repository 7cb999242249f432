"""The figures at the top: what the recommended settings of the dial come to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offramp.decision.simulate import simulate
from training.compare.operating import LIMITS
from training.compare.ways import Measured, Way
from training.report.bootstrap import Interval, interval
from training.report.page import Cell, Section, Table, Tile
from training.report.sources import Sources
from training.report.wording import allowance, counted, percent, points, points_span, span, times

# A loss that few would notice, and that buys most of the speed.
RECOMMENDED = 0.005


@dataclass(frozen=True, slots=True)
class Setting:
    """The fastest setting that was expected to lose no more than `limit`, and what it came to.

    speedup: to ask the router for.  escalated: share of texts that the first tier passed on.
    """

    limit: float
    thresholds: tuple[float, ...]
    speedup: float
    measured: Measured
    accuracy: Interval
    difference: Interval
    escalated: float


def settings(sources: Sources, ours: Way, full: Measured) -> tuple[Setting, ...]:
    """One per limit that the cascade can keep; none where it cannot keep any."""
    found = []
    for limit in LIMITS:
        place = ours.within(limit)
        if place is not None:
            found.append(_setting(sources, ours, place, limit, full))
    return tuple(found)


def _setting(sources: Sources, ours: Way, place: int, limit: float, full: Measured) -> Setting:
    measured, thresholds = ours.measured[place], ours.cascades[place].thresholds
    forecast = simulate(sources.choosing, thresholds, sources.measure)
    tiers = np.asarray([e.tier != sources.measured.exits[0].tier for e in sources.measured.exits])
    return Setting(
        limit=limit,
        thresholds=thresholds,
        speedup=math.floor(100 * forecast.speedup) / 100,
        measured=measured,
        accuracy=interval(measured.right),
        difference=interval(measured.right.astype(np.float64) - full.right),
        escalated=float(tiers[measured.outcome.exits].mean()),
    )


def recommended(found: Sequence[Setting]) -> Setting | None:
    """The setting to begin with; None where every setting loses more than is recommended."""
    return next((one for one in found if one.limit == RECOMMENDED), None)


def tiles(found: Sequence[Setting], full: Measured) -> tuple[Tile, ...]:
    """Accuracy at full depth, and speedup, accuracy and escalation as recommended."""
    whole = interval(full.right)
    first = Tile(percent(full.accuracy), "Full model", f"accuracy ({span(whole)})")
    chosen = recommended(found)
    if chosen is None:
        return (first,)
    return (
        first,
        Tile(percent(chosen.accuracy.mean), "This cascade",
             f"{points(chosen.difference.mean)} ({points_span(chosen.difference)})"),
        Tile(times(chosen.measured.speedup), "Speedup", "in FLOPs, against the full model"),
        Tile(percent(chosen.escalated, 0), "Escalated", "texts that go beyond the first tier"),
    )  # fmt: skip


def summary(found: Sequence[Setting], full: Measured, sources: Sources) -> str:
    """The page in a sentence."""
    chosen = recommended(found)
    if chosen is None:
        return (
            f"No setting of this cascade is expected to stay within {100 * RECOMMENDED:g} points "
            "of its full model."
        )
    share = 1 / chosen.measured.speedup
    return (
        f"With {percent(share, 0 if share > 0.1 else 1)} of the compute this cascade answers "
        f"{percent(chosen.accuracy.mean)} of {sources.measured_on} right; "
        f"its full model alone answers {percent(full.accuracy)}."
    )


def section(found: Sequence[Setting], sources: Sources) -> Section:
    """The settings to choose from, as the config spells them."""
    chosen_on = counted(len(sources.choosing.labels), "text")
    return Section(
        anchor="settings",
        title="Settings to begin with",
        lead=(
            f"Each is the fastest setting that lost no more than allowed on the {chosen_on} that "
            f"thresholds are chosen on; its figures were then taken on {sources.measured_on}."
        ),
        blocks=(_table(found),),
    )


def _table(found: Sequence[Setting]) -> Table:
    return Table(
        caption="Write the setting under policy in the route’s config",
        columns=["allowed", "speedup", "accuracy", "against full model", "escalated", "setting"],
        rows=[
            [
                allowance(one.limit),
                times(one.measured.speedup),
                Cell(percent(one.accuracy.mean), span(one.accuracy)),
                Cell(points(one.difference.mean), points_span(one.difference)),
                percent(one.escalated),
                f"objective: {{speedup: {one.speedup:g}}}",
            ]
            for one in found
        ],
        left=frozenset({5}),
    )
