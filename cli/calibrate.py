"""`offramp calibrate`: readouts and evidence of a finished bundle, taken anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import Precision
from cli.train import LabelColumn, PairColumn, TextColumn


def calibrate(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", exists=True, file_okay=False, help="A bundle.")
    ],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Labelled texts that the models never saw: a file or dataset, as "
            "`offramp train` takes it.",
        ),
    ],
    *,
    label_column: LabelColumn = None,
    text_column: TextColumn = None,
    pair_column: PairColumn = None,
    precision: Annotated[
        list[Precision] | None,
        typer.Option(
            help="Take evidence for tiers that compute in this, besides what the bundle has; may "
            "be repeated. For `int8` the models are quantised too (OpenVINO, on the CPU)."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same parts of the texts.")] = 0,
) -> None:
    """Take a bundle's evidence anew: on newer texts, or for tiers in another precision.

    The models stay as they are, with their int8 form beside them if asked for; how their exits are
    read out, and the evidence that thresholds and guarantees come from, are of these texts from now
    on. The bundle gets a new id: restart its
    tiers and routers.

    Examples:

    - `offramp calibrate bundles/sentiment last-month.tsv`

    - `offramp calibrate bundles/sentiment held-out.tsv --precision bf16`

    - `offramp calibrate bundles/sentiment held-out.tsv --precision int8`
    """
    from training.data import Columns
    from training.recalibrate import RecalibrateSettings, run

    columns = Columns(label_column, text_column, pair_column)
    precisions = tuple(wanted.value for wanted in precision or ())
    manifest = run(RecalibrateSettings(bundle, data, columns, precisions, seed=seed))
    known = ", ".join(manifest.tiers[0].readouts)
    typer.echo(f"{bundle} is bundle {manifest.id} now, with evidence in {known}")
    typer.echo("restart its tiers (engine.precision says what they compute in) and its routers")
