"""`offramp report`: one HTML page that shows what a bundle buys."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from cli.options import ComputePrecision, MeasureName, Precision, measure_named
from cli.train import LabelColumn, PairColumn, TextColumn


def report(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", exists=True, file_okay=False, help="A bundle.")
    ],
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA]",
            help="Labelled texts that the bundle never saw, to take the figures on: a file or "
            "dataset, as `offramp train` takes it. Default: the part of the bundle's own evidence "
            "that no threshold was chosen on.",
        ),
    ] = None,
    *,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", dir_okay=False, help="Where the page goes."),
    ] = Path("report.html"),
    label_column: LabelColumn = None,
    text_column: TextColumn = None,
    pair_column: PairColumn = None,
    confidence: MeasureName = "max_prob",
    precision: ComputePrecision = Precision.FP32,
    examples: Annotated[
        int,
        typer.Option(min=0, help="Texts of each kind to show, as they are; 0 leaves them out."),
    ] = 3,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Write a page on what a bundle buys: speed, accuracy, calibration, guarantees, examples.

    The page is one file that needs no network and runs no script. With DATA it shows some of those
    texts: do not pass on what others may not read.

    Examples:

    - `offramp report bundles/sentiment`

    - `offramp report bundles/sentiment dev.tsv --out sentiment.html --open`
    """
    measure = measure_named(confidence)
    from training.data import Columns
    from training.report.write import ReportSettings, run

    columns = Columns(label_column, text_column, pair_column)
    settings = ReportSettings(bundle, out, data, columns, measure, precision.value, examples)
    written = run(settings)
    typer.echo(f"report: {written}")
    if open_page:
        webbrowser.open(written.resolve().as_uri())
