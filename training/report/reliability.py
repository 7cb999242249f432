"""Reliability diagrams: is an exit right as often as it says, before and after calibration?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.report.drawing import Canvas, Chart, Tips, chart, percent_axis
from training.report.page import Section, Table
from training.report.palette import colour
from training.report.readings import ExitReliability, Reading, exit_reliability
from training.report.sources import Sources
from training.report.wording import counted, percent

LEAST_AREA, MOST_AREA = 8.0, 150.0


@dataclass(frozen=True, slots=True)
class Look:
    """How a reading is drawn."""

    name: str
    role: str
    marker: str


BEFORE = Look("before (plain softmax)", "before", "s")
AFTER = Look("after (as served)", "ours", "o")


def section(sources: Sources) -> Section:
    """A diagram for each exit, and what calibration did."""
    exits = exit_reliability(sources.measured)
    return Section(
        anchor="reliability",
        title="Does confidence mean accuracy?",
        lead=(
            "On the diagonal, an exit that says 90 % is right nine times in ten; below it, it is "
            "too sure of itself. Larger marks stand for more texts. Only calibrated confidence "
            "can be compared across exits."
        ),
        blocks=(
            _picture(exits, sources.measured.logits.shape[-1]),
            _summary(exits),
            _numbers(exits),
        ),
    )


def _picture(exits: Sequence[ExitReliability], labels: int) -> Chart:
    floor = 1.0 / labels
    columns = {True: min(3, len(exits)), False: 2}
    rows = {wide: math.ceil(len(exits) / columns[wide]) for wide in columns}

    def draw(figure: Figure, canvas: Canvas) -> Tips:
        figure.set_layout_engine("constrained", wspace=0.07)  # outer tick labels need the room
        across = columns[canvas.wide]
        panels = figure.subplots(rows[canvas.wide], across, squeeze=False).ravel()
        tips: dict[str, Sequence[str]] = {}
        for index, (axes, found) in enumerate(zip(panels, exits, strict=False)):
            tips |= _draw_exit(axes, index, found, floor)
            _finish(axes, floor, left=index % across == 0, below=index + across >= len(exits))
        for axes in panels[len(exits) :]:
            axes.set_axis_off()
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper left", ncols=2)
        return tips

    described = "; ".join(
        f"{e.name}: calibration error {percent(e.before.ece)} before, {percent(e.after.ece)} after"
        for e in exits
    )
    heights = 40 + 245 * rows[True], 40 + 190 * rows[False]
    return chart(draw, f"Reliability diagram of each exit. {described}.", heights)


def _draw_exit(
    axes: Axes, index: int, found: ExitReliability, floor: float
) -> dict[str, Sequence[str]]:
    axes.plot([floor, 1], [floor, 1], color=colour("muted"), linewidth=1, linestyle=":")
    axes.set_title(found.name, loc="left")
    tips: dict[str, Sequence[str]] = {}
    for look, reading in ((BEFORE, found.before), (AFTER, found.after)):
        gid = f"{look.role}-{index}"
        _draw_reading(axes, reading, look, gid)
        tips[gid] = [
            f"{found.name}, {look.name}: says {percent(b.confidence)}, is right "
            f"{percent(b.accuracy)} of {counted(b.count, 'text')}"
            for b in reading.bins
        ]
    return tips


def _draw_reading(axes: Axes, reading: Reading, look: Look, gid: str) -> None:
    total = sum(b.count for b in reading.bins)
    confidences = [b.confidence for b in reading.bins]
    accuracies = [b.accuracy for b in reading.bins]
    axes.plot(confidences, accuracies, color=colour(look.role), linewidth=1, alpha=0.5)
    axes.scatter(
        confidences,
        accuracies,
        s=[LEAST_AREA + (MOST_AREA - LEAST_AREA) * b.count / total for b in reading.bins],
        color=colour(look.role),
        marker=look.marker,
        label=look.name,
        gid=gid,
        linewidth=0,
    )


def _finish(axes: Axes, floor: float, left: bool, below: bool) -> None:
    low = 0.5 if floor == 0.5 else 0.0
    axes.set_xlim(low - 0.03 * (1 - low), 1.03)
    axes.set_ylim(-0.04, 1.06)
    axes.set_xticks([low, (1 + low) / 2, 1])
    axes.set_yticks([0, 0.5, 1])
    percent_axis(axes, "x")
    percent_axis(axes)
    axes.tick_params(labelleft=left, labelbottom=below)
    if left:
        axes.set_ylabel("right answers")
    if below:
        axes.set_xlabel("confidence")


def _summary(exits: Sequence[ExitReliability]) -> Table:
    return Table(
        caption="Calibration error (ECE, 15 bins) and log loss (NLL, nats)",
        columns=["exit", "ECE before", "ECE after", "NLL before", "NLL after", "read out by"],
        rows=[
            [
                e.name,
                percent(e.before.ece, 2),
                percent(e.after.ece, 2),
                f"{e.before.nll:.4f}",
                f"{e.after.nll:.4f}",
                e.readout,
            ]
            for e in exits
        ],
        left=frozenset({5}),
    )


def _numbers(exits: Sequence[ExitReliability]) -> Table:
    rows = [
        [e.name, name, percent(b.confidence), percent(b.accuracy), str(b.count)]
        for e in exits
        for name, reading in (("before", e.before), ("after", e.after))
        for b in reading.bins
    ]
    return Table(
        caption="The numbers: every mark of the picture",
        columns=["exit", "calibration", "says", "is right", "texts"],
        rows=rows,
        left=frozenset({1}),
        folded=True,
    )
