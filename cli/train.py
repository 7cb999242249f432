"""`offramp train`: from a labelled file to a bundle that can be served."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer


class Precision(StrEnum):
    """How the weights are stored in the bundle."""

    INT8 = "int8"
    FP16 = "fp16"
    FP32 = "fp32"


LabelColumn = Annotated[
    str | None, typer.Option(help="Column of the label, where it is not `label`.")
]
TextColumn = Annotated[
    str | None, typer.Option(help="Column of the text, where it is not `text` or `sentence`.")
]
PairColumn = Annotated[
    str | None, typer.Option(help="Column of the second text, where texts come in pairs.")
]


def train(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", exists=True, dir_okay=False, help="Labelled .tsv, .csv or .jsonl file."
        ),
    ],
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the new bundle; must not exist yet.")
    ],
    name: Annotated[
        str | None, typer.Option(help="Name of the route. Default: the name of the folder.")
    ] = None,
    label_column: LabelColumn = None,
    text_column: TextColumn = None,
    pair_column: PairColumn = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OLD=NEW", help="Give a label of the file another name; may be repeated."
        ),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Encoder of the large tier: a Hugging Face name or a folder. "
            "Default: all-MiniLM-L6-v2, which comes with the packages.",
        ),
    ] = None,
    exits: Annotated[
        str | None,
        typer.Option(
            metavar="LAYERS",
            help="Layers with an exit, the last layer among them: `2,3,4,6`. "
            "Default: a third, a half, two thirds and the whole.",
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes of the large tier over the data.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Texts per step of the large tier.")
    ] = None,
    small: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A Hugging Face sequence classifier (name or folder) to take as the small tier "
            "as it is. Default: a student is distilled from the large tier.",
        ),
    ] = None,
    small_epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes of the small tier over what it is taught.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=4, help="Longer texts are cut to this many tokens.")
    ] = None,
    hold_out: Annotated[
        float | None,
        typer.Option(min=0.01, max=0.9, help="Share of the texts kept for calibration."),
    ] = None,
    precision: Annotated[Precision, typer.Option(help="Of the stored weights.")] = Precision.INT8,
    seed: Annotated[int, typer.Option(help="Same seed, same bundle on the same machine.")] = 0,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Train on this many texts, for a first trial.")
    ] = None,
    note: Annotated[
        str, typer.Option(help="A sentence on the data, for the bundle's model card.")
    ] = "",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 for all cores.")] = 0,
) -> None:
    """Train a cascade: a multi-exit large tier, a small tier distilled from it, calibrated.

    The file names its columns in the first line. Part of the texts is held out from both models:
    temperatures and thresholds come from there. The folder then serves with
    `offramp up --bundle FOLDER`.

    Examples:

    - `offramp train reviews.tsv --out bundles/reviews`

    - `offramp train reviews.tsv --out bundles/reviews --rename 0=negative --rename 1=positive`

    - `offramp train reviews.tsv --out /tmp/trial --limit 2000 --epochs 1`

    - `offramp train nli.jsonl --out bundles/nli --backbone microsoft/MiniLM-L12-H384-uncased`
    """
    chosen, names = _layers(exits), _renamed(rename or [])
    from training.data import Columns
    from training.settings import LargeSettings, SmallSettings, TrainSettings
    from training.train import run

    settings = TrainSettings(
        data=data,
        out=out,
        name=name or out.resolve().name,
        columns=Columns(label_column, text_column, pair_column),
        rename=names,
        data_note=note,
        seed=seed,
        precision=precision.value,
        limit=limit,
        threads=threads,
        large=replace(
            LargeSettings(exits=chosen),
            **_given(backbone=backbone, epochs=epochs, batch_size=batch_size),
        ),
        small=replace(SmallSettings(), **_given(classifier=small, epochs=small_epochs)),
    )
    settings = replace(settings, **_given(max_tokens=max_tokens, hold_out=hold_out))
    run(settings)
    typer.echo(f"serve it: offramp up --bundle {out}")


def _given(**options: Any) -> dict[str, Any]:
    """Options that were given; the others keep the defaults that training knows best."""
    return {name: value for name, value in options.items() if value is not None}


def _layers(written: str | None) -> tuple[int, ...] | None:
    if written is None:
        return None
    try:
        return tuple(sorted({int(layer) for layer in written.split(",")}))
    except ValueError:
        raise typer.BadParameter(f"--exits {written}: write layer numbers, as in 2,3,4,6") from None


def _renamed(pairs: list[str]) -> dict[str, str]:
    names = {}
    for pair in pairs:
        old, separator, new = pair.partition("=")
        if not (old and separator and new):
            raise typer.BadParameter(f"--rename {pair}: write OLD=NEW, as in 0=negative")
        names[old] = new
    return names
