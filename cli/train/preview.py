"""`--dry-run`: what a run would do, and about how long it would take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import typer

if TYPE_CHECKING:
    from rich.table import Table

    from training.estimate import Estimate
    from training.prepare import Prepared
    from training.settings import TrainSettings

# Of more labels than this, the most and the least frequent are shown.
SHOWN_LABELS = 30


def show(settings: TrainSettings) -> None:
    """Read and check everything, and say what there is to say. Raises what a run would raise."""
    from rich.console import Console

    from training.estimate import estimate
    from training.prepare import prepare

    prepared = prepare(settings)
    typer.echo(f"{prepared.summary}\n")
    Console().print(_labels(prepared))
    for line in (*_texts(prepared), *_models(prepared), _time(estimate(prepared))):
        typer.echo(line)
    typer.echo(f"\nnothing was trained; without --dry-run the bundle would go to {settings.out}")


def _labels(prepared: Prepared) -> Table:
    from rich.markup import escape

    from cli.policy.tables import plain_table

    fit, held_out = prepared.parts.fit, prepared.parts.held_out
    counts = [np.bincount(part.labels, minlength=len(fit.label_names)) for part in (fit, held_out)]
    order = np.argsort(-counts[0], kind="stable").tolist()
    table = plain_table("label", "to train on", "held out")
    half = SHOWN_LABELS // 2
    for rank, place in enumerate(order):
        if rank < half or rank >= len(order) - half:
            name = escape(fit.label_names[place])
            table.add_row(name, f"{counts[0][place]:,}", f"{counts[1][place]:,}")
        elif rank == half:
            table.add_row(f"… {len(order) - 2 * half:,} more", "", "")
    return table


def _texts(prepared: Prepared) -> tuple[str, ...]:
    half, most = np.quantile(prepared.cut.lengths, (0.5, 0.95)).astype(int)
    found = [
        f"\ntokens: half of the held-out texts have {half} at most, 19 of 20 {most}, the longest "
        f"{prepared.cut.lengths.max():,}"
    ]
    if prepared.unlabelled is not None:
        found.append(f"unlabelled: {len(prepared.unlabelled):,} texts")
    return tuple(found)


def _models(prepared: Prepared) -> tuple[str, ...]:
    settings = prepared.settings
    exits = ", ".join(str(layer) for layer in prepared.exits)
    small = settings.small.classifier or f"{settings.small.kind}, distilled from the large tier"
    if settings.large.bundle is not None:
        return f"large tier: that of {settings.large.bundle}, as it is", f"small tier: {small}"
    return (
        f"large tier: {settings.large.backbone}, recipe {settings.large.recipe}, exits at layers "
        f"{exits}, {settings.large.epochs} epochs",
        f"small tier: {small}",
    )


def _time(found: Estimate) -> str:
    said = f"time: very roughly {_minutes(found.total)} on this machine"
    if not found.large:
        return said
    return f"{said}, {_minutes(found.large)} of it for the large tier"


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
