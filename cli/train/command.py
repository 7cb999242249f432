"""The verb: options become settings, and a run, or a look at what it would do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import typer

from cli.train import options, written


def train(
    data: options.Data,
    *,
    out: options.Out,
    validation: options.Validation = None,
    unlabelled: options.Unlabelled = None,
    label_column: options.LabelColumn = None,
    text_column: options.TextColumn = None,
    pair_column: options.PairColumn = None,
    rename: options.Rename = None,
    hold_out: options.HoldOut = None,
    max_tokens: options.MaxTokens = None,
    balance: options.BalanceBy = options.Balance.NONE,
    limit: options.Limit = None,
    backbone: options.Backbone = None,
    large_tier: options.LargeTier = None,
    recipe: options.RecipeName = None,
    backbone_first: options.BackboneFirst = False,
    exits: options.Exits = None,
    keep: options.Keep = None,
    epochs: options.Epochs = None,
    batch_size: options.BatchSize = None,
    learning_rate: options.LearningRate = None,
    small: options.Small = None,
    small_epochs: options.SmallEpochs = None,
    small_layers: options.SmallLayers = None,
    small_width: options.SmallWidth = None,
    name: options.Name = None,
    precision: options.StoredPrecision = options.Precision.INT8,
    export: options.Export = True,
    serve_in: options.ServeIn = None,
    note: options.Note = "",
    report: options.Report = None,
    dry_run: options.DryRun = False,
    checkpoint: options.CheckpointFolder = None,
    seed: options.Seed = 0,
    device: options.DeviceName = options.Device.AUTO,
    bf16: options.Bf16 = None,
    threads: options.Threads = 0,
) -> None:
    """Train a cascade: a multi-exit large tier, a small tier distilled from it, calibrated.

    DATA has a column of labels and one of texts (two for pairs). Part of the texts is held out
    from both models: calibration, thresholds and guarantees come from there. Killed, and started
    again with the same command, it goes on where it was. The folder then serves with
    `offramp up --bundle FOLDER`.

    Examples:

    - `offramp train reviews.tsv --out bundles/reviews`

    - `offramp train reviews.csv --out bundles/reviews --rename 0=negative --rename 1=positive`

    - `offramp train reviews.tsv --out /tmp/trial --dry-run`

    - `offramp train tickets.parquet --out bundles/tickets --validation checked.parquet`

    - `offramp train nli.jsonl --out bundles/nli --backbone microsoft/MiniLM-L12-H384-uncased`

    - `offramp train fancyzhx/ag_news --out bundles/news --unlabelled headlines.txt`

    - `offramp train reviews.tsv --out b2 --large-tier bundles/reviews --unlabelled more.txt`
    """
    written.shallow_only(small, layers=small_layers, width=small_width)
    chosen = {
        "columns": (label_column, text_column, pair_column),
        "rename": written.renamed(rename or []),
        "large": _given(
            backbone=backbone,
            bundle=large_tier,
            recipe=recipe and recipe.value,
            backbone_first=backbone_first or None,
            exits=written.layers(exits),
            keep=written.shares(keep),
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
        ),
        "small": {
            **_given(epochs=small_epochs, layers=small_layers, narrow=small_width),
            **written.small_tier(small),
        },
    }
    settings = _settings(
        chosen,
        data=data,
        out=out,
        name=name or out.resolve().name,
        validation=validation,
        unlabelled=unlabelled,
        balance=balance.value,
        seed=seed,
        precision=precision.value,
        export=export,
        serve_in=tuple(found.value for found in serve_in or ()),
        threads=threads,
        device=device.value,
        data_note=note,
        report=written.report(report, out),
        **_given(
            hold_out=hold_out, max_tokens=max_tokens, limit=limit, checkpoint=checkpoint, bf16=bf16
        ),
    )
    if dry_run:
        from cli.train.preview import show

        show(settings)
        return
    from training.train import run

    run(settings)
    if settings.report is not None:
        typer.echo(f"report: {settings.report}")
    typer.echo(f"serve it: offramp up --bundle {out}")


def _given(**options: Any) -> dict[str, Any]:
    """Options that were given; the others keep the defaults that training knows best."""
    return {name: value for name, value in options.items() if value is not None}


def _settings(chosen: dict[str, Any], **plain: Any) -> Any:
    from training.data import Columns
    from training.settings import LargeSettings, SmallSettings, TrainSettings

    return TrainSettings(
        columns=Columns(*chosen["columns"]),
        rename=chosen["rename"],
        large=replace(LargeSettings(), **chosen["large"]),
        small=replace(SmallSettings(), **chosen["small"]),
        **plain,
    )
