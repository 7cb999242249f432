"""`offramp evaluate`: the figures of a bundle on a file that it has never seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import ComputePrecision, MeasureName, Precision, measure_named
from cli.train import LabelColumn, PairColumn, TextColumn

if TYPE_CHECKING:
    from rich.table import Table

    from training.figures import Figures


def evaluate(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", exists=True, file_okay=False, help="A bundle.")
    ],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA", help="Labelled texts: a file or dataset, as `offramp train` takes it."
        ),
    ],
    *,
    label_column: LabelColumn = None,
    text_column: TextColumn = None,
    pair_column: PairColumn = None,
    confidence: MeasureName = "max_prob",
    precision: ComputePrecision = Precision.FP32,
    record: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Enter the figures in the bundle's model card, under this name."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as one line of JSON.")
    ] = False,
) -> None:
    """Score a bundle on labelled texts: every exit on its own, and the cascade along the dial.

    Thresholds come from the bundle's own evidence; this file only measures them.

    Example: `offramp evaluate bundles/sentiment dev.tsv`
    """
    measure = measure_named(confidence)
    from training.data import Columns
    from training.evaluate import EvaluateSettings, run

    columns = Columns(label_column, text_column, pair_column)
    figures = run(EvaluateSettings(bundle, data, columns, measure, record, precision.value))
    if as_json:
        typer.echo(json.dumps(figures.as_dict()))
        return
    from rich.console import Console

    from cli.policy import tables

    console = Console()
    typer.echo(f"{figures.examples} texts; every exit on its own (cost 1 is full depth):\n")
    console.print(_exits(figures))
    typer.echo("\nthe cascade along the dial, thresholds from the bundle's evidence:\n")
    console.print(tables.dial(figures.dial))


def _exits(figures: Figures) -> Table:
    from cli.policy.tables import plain_table

    table = plain_table("exit", "accuracy", "ECE", "AUROC", "AURC", "E-AURC", "calibrator", "cost")
    for exit_figures in figures.exits:
        table.add_row(
            exit_figures.name,
            f"{exit_figures.accuracy:.4f}",
            f"{exit_figures.ece:.4f}",
            f"{exit_figures.auroc:.4f}",
            f"{exit_figures.aurc:.4f}",
            f"{exit_figures.excess_aurc:.4f}",
            exit_figures.calibrator + (", mixed" if exit_figures.mixed else ""),
            f"{exit_figures.relative_cost:.4f}",
        )
    return table
