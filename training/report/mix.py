"""Where texts leave along the dial: the exit mix of every operating point."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from training.figures import SPEEDUPS, DialPoint, dial
from training.report.drawing import Canvas, Chart, Tips, chart, legend_below, percent_axis
from training.report.page import Note, Section, Table
from training.report.palette import colour, exit_colour
from training.report.sources import Sources
from training.report.wording import percent, threshold, times

LEAST_LABELLED = 0.08


def section(sources: Sources) -> Section:
    """Shares of the exits at every setting of the dial that the cascade can do."""
    settings = dial(sources.choosing, sources.measured, sources.measure, SPEEDUPS)
    return Section(
        anchor="mix",
        title="Where texts leave",
        lead=(
            "One dial at run time, “objective: {speedup: S}”: the more speed is asked for, the "
            f"earlier texts leave. Shares are of {sources.measured_on}."
        ),
        blocks=(_picture(settings), _shares(settings), _thresholds(settings))
        if settings
        else (Note(f"This cascade cannot be {SPEEDUPS[0]:g} times as fast as the full model."),),
    )


def _picture(settings: Sequence[DialPoint]) -> Chart:
    names = list(settings[0].exits)

    def draw(figure: Figure, canvas: Canvas) -> Tips:
        axes = figure.subplots()
        floor = [0.0] * len(settings)
        tips = {}
        for index, name in enumerate(names):
            shares = [point.exits[name] for point in settings]
            _draw_layer(axes, index, name, shares, floor)
            for place, share in enumerate(shares):
                said = f"{name}: {percent(share)} at speedup {settings[place].setting:g}"
                tips[f"layer-{index}-{place}"] = [said]
            floor = [low + share for low, share in zip(floor, shares, strict=True)]
        _finish(axes, settings)
        legend_below(figure, axes, columns=6 if canvas.wide else 3)
        return tips

    described = "; ".join(
        f"at {point.setting:g}× "
        + ", ".join(f"{n} {percent(s, 0)}" for n, s in point.exits.items())
        for point in (settings[0], settings[len(settings) // 2], settings[-1])
    )
    return chart(draw, f"Share of texts by the exit they leave at. {described}.", (380, 380))


def _draw_layer(
    axes: Axes, index: int, name: str, shares: Sequence[float], floor: Sequence[float]
) -> None:
    places = range(len(shares))
    bars = axes.bar(
        places, shares, 0.86, bottom=floor, label=name,
        color=exit_colour(index), edgecolor=colour("surface"), linewidth=1,
    )  # fmt: skip
    for place, bar in zip(places, bars, strict=True):
        bar.set_gid(f"layer-{index}-{place}")
        if shares[place] >= LEAST_LABELLED:
            axes.text(
                place, floor[place] + shares[place] / 2, f"{100 * shares[place]:.0f}",
                ha="center", va="center", color=colour("on-exit"), fontsize="small",
            )  # fmt: skip


def _finish(axes: Axes, settings: Sequence[DialPoint]) -> None:
    axes.set_xticks(range(len(settings)), [f"{point.setting:g}×" for point in settings])
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=False)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(0, 1)
    axes.margins(x=0.01)
    percent_axis(axes)
    axes.set_xlabel("speedup asked for")
    axes.set_ylabel("texts (numbers: percent)")


def _shares(settings: Sequence[DialPoint]) -> Table:
    return Table(
        caption="The numbers: shares, accuracy and cost by setting",
        columns=["speedup asked", *settings[0].exits, "escalated", "accuracy", "mean cost"],
        rows=[
            [
                times(point.setting),
                *(percent(share) for share in point.exits.values()),
                percent(point.escalation_rate),
                percent(point.accuracy),
                f"{point.mean_cost:.4f}",
            ]
            for point in settings
        ],
        folded=True,
    )


def _thresholds(settings: Sequence[DialPoint]) -> Table:
    return Table(
        caption="The thresholds behind each setting",
        columns=["speedup asked", *settings[0].thresholds],
        rows=[
            [times(point.setting), *(threshold(value) for value in point.thresholds.values())]
            for point in settings
        ],
        folded=True,
    )
