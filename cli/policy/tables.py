"""Policies as tables: thresholds, forecasts, the dial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from rich.table import Table

from offramp.decision.plan import NEVER

SCOPE = "for texts like the evidence, and requests not cut short by max_cost, last_exit or time"

if TYPE_CHECKING:
    from rich.console import Console

    from offramp.client import Audits, RouteStatus
    from offramp.decision.guarantee import Guarantee
    from offramp.decision.simulate import Forecast
    from training.figures import DialPoint


def plain_table(*columns: str) -> Table:
    """A table without lines; every column but the first is of numbers. Cuts nothing off."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", overflow="fold")
    return table


def threshold(value: float) -> str:
    """A threshold as people read it: 0 and 1 are not numbers but rules."""
    if value >= NEVER:
        return "never"
    return "always" if value <= 0 else f"{value:.4f}"


def show(
    console: Console,
    thresholds: Mapping[str, float],
    columns: Mapping[str, Forecast],
    guarantee: Guarantee | None,
    live: RouteStatus | None = None,
) -> None:
    """Print a policy: its exits, its forecast (the last of the columns), what was certified."""
    console.print(exits(thresholds, list(columns.values())[-1], live))
    console.print()
    console.print(forecasts(columns, live))
    if guarantee is not None:
        console.print(f"\nguarantee: {guarantee}\n{SCOPE}", highlight=False)
    if live and live.audits:
        console.print(f"\naudits: {_audited(live.audits)}", highlight=False)


def exits(
    thresholds: Mapping[str, float], forecast: Forecast, live: RouteStatus | None = None
) -> Table:
    """Exit by exit: threshold, share on the evidence, and share of late."""
    table = plain_table("exit", "threshold", "forecast", *(["live"] if live else []))
    for name, value in thresholds.items():
        cells = [name, threshold(value), f"{forecast.exit_shares.get(name, 0.0):.1%}"]
        if live:
            cells.append(_share(live.exits.get(name, 0), live.requests))
        table.add_row(*cells)
    return table


def forecasts(columns: Mapping[str, Forecast], live: RouteStatus | None = None) -> Table:
    """Figures of one or several forecasts side by side, and of late."""
    table = plain_table("", *columns, *(["live"] if live else []))
    shown = list(columns.values())
    seen = live is not None and live.requests > 0
    table.add_row("accuracy", *(f"{f.accuracy:.4f}" for f in shown), *([""] if live else []))
    table.add_row(
        "full depth", *(f"{f.full_depth_accuracy:.4f}" for f in shown), *([""] if live else [])
    )
    table.add_row(
        "expected loss", *(f"{f.expected_loss:.4f}" for f in shown), *([""] if live else [])
    )
    table.add_row(
        "speedup",
        *(f"{f.speedup:.2f}x" for f in shown),
        *([f"{live.speedup:.2f}x" if seen else "–"] if live else []),
    )
    table.add_row(
        "escalated",
        *(f"{f.escalation_ratio:.1%}" for f in shown),
        *([f"{live.escalation_ratio:.1%}" if seen else "–"] if live else []),
    )
    table.add_row(
        "texts",
        *(f"{f.examples}" for f in shown),
        *([f"{live.requests}"] if live else []),
    )
    return table


def dial(points: Iterable[DialPoint]) -> Table:
    """One row per setting of the dial."""
    points = list(points)
    names = list(points[0].thresholds) if points else []
    table = plain_table("speedup:", *names, "accuracy", "speedup", "escalated")
    for point in points:
        table.add_row(
            f"{point.setting:g}",
            *(threshold(point.thresholds[name]) for name in names),
            f"{point.accuracy:.4f}",
            f"{point.speedup_flops:.2f}x",
            f"{point.escalation_rate:.1%}",
        )
    return table


def _audited(audits: Audits) -> str:
    return (
        f"{audits.agreement_ratio:.2%} of {audits.audited:,} early answers under this policy "
        f"are those of full depth (at least {audits.agreement_lower_bound:.2%} of all, with 95% "
        "confidence)"
    )


def _share(count: int, total: int) -> str:
    return f"{count / total:.1%}" if total else "–"
