"""Risk-coverage curves: how well each exit's confidence ranks its own failures.

After Geifman & El-Yaniv 2017 (arXiv 1705.08500). That, and not the calibration error, decides what
early exit gains: an exit that knows which of its answers are wrong can keep all the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from offramp.decision.confidence import Measure
from offramp.decision.evidence import Evidence
from offramp.decision.ranking import (
    area_under_risk_coverage,
    auroc,
    excess_area,
    risk_coverage,
)
from training.report.drawing import Canvas, Chart, Tips, chart, legend_below, percent_axis
from training.report.page import Section, Table
from training.report.palette import exit_colour
from training.report.sources import Sources
from training.report.wording import percent

COVERAGES = np.linspace(0.05, 1.0, 20)


@dataclass(frozen=True, slots=True)
class ExitRanking:
    """One exit on N examples. risks: share of wrong answers among the surest, by COVERAGES.

    excess: the area under the curve, less that of a perfect ranking of the same answers.
    """

    name: str
    risks: NDArray[np.float64]
    aurc: float
    excess: float
    auroc: float


def exit_rankings(examples: Evidence, measure: Measure) -> tuple[ExitRanking, ...]:
    """How every exit ranks its failures by a measure of confidence."""
    confidences, correct = examples.confidences(measure), examples.correct()
    return tuple(
        ExitRanking(
            name,
            _at_coverages(confidences[i], correct[i]),
            area_under_risk_coverage(confidences[i], correct[i]),
            excess_area(confidences[i], correct[i]),
            auroc(confidences[i], correct[i]),
        )
        for i, name in enumerate(examples.exit_names)
    )


def _at_coverages(
    confidences: NDArray[np.float64], correct: NDArray[np.bool_]
) -> NDArray[np.float64]:
    risks = risk_coverage(confidences, correct)
    kept = np.maximum(np.round(COVERAGES * len(risks)).astype(int), 1)
    found: NDArray[np.float64] = risks[kept - 1]
    return found


def section(sources: Sources) -> Section:
    """A curve per exit, its area, and the numbers."""
    exits = exit_rankings(sources.measured, sources.measure)
    return Section(
        anchor="ranking",
        title="Does confidence find the mistakes?",
        lead=(
            "Let each exit answer only the texts it is surest of: how many of those answers are "
            "wrong? A curve that stays low is an exit that texts can leave at. Confidence: "
            f"{sources.measure}."
        ),
        blocks=(_picture(exits), _areas(exits), _numbers(exits)),
    )


def _picture(exits: Sequence[ExitRanking]) -> Chart:
    def draw(figure: Figure, canvas: Canvas) -> Tips:
        axes = figure.subplots()
        tips = {}
        for index, found in enumerate(exits):
            gid = f"risk-{index}"
            axes.plot(
                COVERAGES, found.risks, color=exit_colour(index), label=found.name, gid=gid,
                marker="o", markersize=3.5, linewidth=1.8,
            )  # fmt: skip
            tips[gid] = [
                f"{found.name}: surest {percent(coverage, 0)} of texts, {percent(risk)} wrong"
                for coverage, risk in zip(COVERAGES, found.risks, strict=True)
            ]
        percent_axis(axes, "x")
        percent_axis(axes)
        axes.set_xlim(0.02, 1.02)
        axes.set_ylim(bottom=-0.004)
        axes.set_xlabel("texts answered, the surest first")
        axes.set_ylabel("wrong among them")
        legend_below(figure, axes, columns=6 if canvas.wide else 3)
        return tips

    described = "; ".join(
        f"{e.name} {percent(e.risks[9])} wrong at half, {percent(e.risks[-1])} at all"
        for e in exits
    )
    return chart(draw, f"Wrong answers among the surest texts, by exit: {described}.", (380, 360))


def _areas(exits: Sequence[ExitRanking]) -> Table:
    return Table(
        caption="How well confidence ranks failures (AUROC: 1 is best; areas: 0 is best)",
        columns=["exit", "AUROC", "AURC", "excess AURC"],
        rows=[[e.name, f"{e.auroc:.3f}", f"{e.aurc:.4f}", f"{e.excess:.4f}"] for e in exits],
    )


def _numbers(exits: Sequence[ExitRanking]) -> Table:
    return Table(
        caption="The numbers: share of wrong answers among the surest texts",
        columns=["texts answered", *(e.name for e in exits)],
        rows=[
            [percent(coverage, 0), *(percent(e.risks[i]) for e in exits)]
            for i, coverage in enumerate(COVERAGES)
        ],
        folded=True,
    )
