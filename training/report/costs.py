"""What it costs to bring a text to each exit, and how good the exit is if it answers everything."""

from __future__ import annotations

import numpy as np

from offramp.decision.cost import cumulative
from training.report.bootstrap import intervals
from training.report.page import Cell, Section, Table
from training.report.sources import Sources
from training.report.wording import flops, percent, seconds, span, times


def section(sources: Sources) -> Section:
    """One row per exit."""
    return Section(
        anchor="costs",
        title="What each exit costs",
        lead=(
            "From the start of the cascade, for a text of mean length "
            f"({sources.measured.tokens.mean():.0f} tokens). Cost 1 is the full model with no tier "
            "before it. " + _about_seconds(sources)
        ),
        blocks=(_table(sources),),
    )


def _about_seconds(sources: Sources) -> str:
    if sources.seconds is None:
        return "Seconds are measured where texts are given: offramp report BUNDLE DATA."
    return "Seconds are the median on the machine that wrote this page, one text at a time."


def _table(sources: Sources) -> Table:
    measured = sources.measured
    curves, costs, correct = cumulative(measured.exits), measured.costs(), measured.correct()
    accuracies = intervals(correct)
    rows: list[list[str | Cell]] = []
    for index, known in enumerate(measured.exits):
        accuracy = accuracies[index]
        cost = float(np.mean(costs[index]))
        row: list[str | Cell] = [
            known.name,
            flops(float(np.mean(curves[index].at(measured.tokens)))),
            f"{cost:.4f}",
            times(1 / cost),
            Cell(percent(accuracy.mean), span(accuracy)),
        ]
        if sources.seconds is not None:
            row.insert(2, seconds(sources.seconds[index]))
        rows.append(row)
    columns = ["exit", "compute", "cost", "speedup", "accuracy alone"]
    if sources.seconds is not None:
        columns.insert(2, "seconds")
    return Table("Cost and accuracy of every exit", columns, rows)
