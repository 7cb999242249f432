"""The speed/accuracy curve: this cascade beside the papers' ways on the same networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.compare.methods import OURS
from training.compare.operating import LIMITS
from training.compare.ways import Measured, Way
from training.report.bootstrap import bands, intervals
from training.report.drawing import (
    Canvas,
    Chart,
    Tips,
    chart,
    legend_below,
    percent_axis,
    speedup_axis,
)
from training.report.page import Cell, Section, Table
from training.report.palette import colour
from training.report.wording import allowance, percent, points, points_span, span, times

MARKS = 14


@dataclass(frozen=True, slots=True)
class Look:
    """How a way is drawn. single: its cascades are models of their own, not points of one curve."""

    role: str
    marker: str
    single: bool = False


LOOKS = {
    OURS.name: Look("ours", "o"),
    "two tiers only": Look("two-tier", "s"),
    "multi-exit only": Look("multi-exit", "^"),
    "entropy exit": Look("entropy", "v"),
    "truncated, one exit": Look("truncated", "P", single=True),
    "small tier alone": Look("small", "X", single=True),
    "full model": Look("ink", "D", single=True),
}


def section(ways: Sequence[Way], measured_on: str) -> Section:
    """Picture, what each way buys, and the numbers."""
    ordered = sorted(ways, key=lambda way: list(LOOKS).index(way.method.name))
    return Section(
        anchor="curve",
        title="Speed and accuracy",
        lead=(
            "Each mark is an operating point; up and to the right is better. All ways run the same "
            "networks: they differ in where a text may leave and how thresholds are chosen. "
            f"Figures are of {measured_on}."
        ),
        blocks=(_picture(ordered), _bought(ordered), _numbers(ordered)),
    )


def _marks(way: Way) -> list[int]:
    """Places of the cascades to mark: all of single models, of a curve an even choice."""
    if LOOKS[way.method.name].single:
        return list(range(len(way.cascades)))
    logs = np.log(way.speedups)
    wanted = np.linspace(logs.min(), logs.max(), MARKS)
    return list(dict.fromkeys(int(np.abs(logs - one).argmin()) for one in wanted))


def _picture(ways: Sequence[Way]) -> Chart:
    def draw(figure: Figure, canvas: Canvas) -> Tips:
        axes = figure.subplots()
        tips = {}
        for order, way in enumerate(ways):
            marked = [way.measured[place] for place in _marks(way)]
            gid = f"way-{order}"
            _draw(axes, way, marked, gid, height=len(ways) - order)
            tips[gid] = [f"{way.method.name}: {_figures(one)}" for one in marked]
        speedup_axis(axes, [one.speedup for way in ways for one in way.measured], canvas)
        percent_axis(axes)
        axes.set_ylabel("accuracy")
        legend_below(figure, axes, columns=2 if canvas.wide else 1)
        return tips

    ends = "; ".join(
        f"{way.method.name} from {_figures(way.measured[0])} to {_figures(way.measured[-1])}"
        for way in ways
        if not LOOKS[way.method.name].single
    )
    return chart(draw, f"Accuracy over speedup: {ends}.", (480, 480))


def _figures(measured: Measured) -> str:
    return f"{percent(measured.accuracy)} at {times(measured.speedup)}"


def _draw(axes: Axes, way: Way, marked: Sequence[Measured], gid: str, height: int) -> None:
    look, ours = LOOKS[way.method.name], way.method.name == OURS.name
    speedups = [one.speedup for one in marked]
    paper = way.method.source.split(",")[0]
    axes.plot(
        speedups,
        [one.accuracy for one in marked],
        color=colour(look.role),
        linestyle="none" if look.single else "-",
        linewidth=2.6 if ours else 1.4,
        marker=look.marker,
        markersize=8 if look.single else 6 if ours else 4.5,
        zorder=2 + height / 10,
        label=f"{way.method.name} ({paper})" if paper else way.method.name,
        gid=gid,
    )
    if ours:
        low, high = bands(np.stack([one.right for one in marked]))
        axes.fill_between(
            speedups, low, high, color=colour("ours"), alpha=0.14, linewidth=0,
            label="its 95 % band (bootstrap over texts)",
        )  # fmt: skip


def _bought(ways: Sequence[Way]) -> Table:
    return Table(
        caption="Speedup at the fastest setting within an allowed loss, and the accuracy there",
        columns=["way", *(allowance(limit) for limit in LIMITS)],
        rows=[
            [Cell(way.method.name, way.method.source), *(_fastest(way, limit) for limit in LIMITS)]
            for way in ways
        ],
    )


def _fastest(way: Way, limit: float) -> Cell:
    place = way.within(limit)
    if place is None:
        return Cell("–", "loses more", refused=True)
    measured = way.measured[place]
    return Cell(times(measured.speedup), f"at {percent(measured.accuracy)}")


def _numbers(ways: Sequence[Way]) -> Table:
    full = next(way for way in ways if way.method.name == "full model").measured[0]
    marked = [(way.method.name, way.measured[place]) for way in ways for place in _marks(way)]
    right = np.stack([measured.right for _, measured in marked]).astype(np.float64)
    own, against_full = intervals(right), intervals(right - full.right)
    return Table(
        caption="The numbers: every mark of the picture, with 95 % intervals by bootstrap",
        columns=["way", "speedup", "accuracy", "interval", "against full model", "interval"],
        rows=[
            [
                name,
                times(measured.speedup),
                percent(accuracy.mean),
                span(accuracy),
                points(difference.mean),
                points_span(difference),
            ]
            for (name, measured), accuracy, difference in zip(
                marked, own, against_full, strict=True
            )
        ],
        folded=True,
    )
