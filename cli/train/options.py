"""The options of `offramp train`, in the groups that its help shows them in."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DATA = "Data"
LARGE = "Large tier"
SMALL = "Small tier"
BUNDLE = "Bundle"
RUN = "Run"


class Precision(StrEnum):
    """How the weights are stored in the bundle."""

    INT8 = "int8"
    FP16 = "fp16"
    FP32 = "fp32"


class Reduced(StrEnum):
    """What a tier may compute in besides fp32."""

    BF16 = "bf16"
    INT8 = "int8"


class Balance(StrEnum):
    """How much more rare labels count."""

    NONE = "none"
    SQRT = "sqrt"
    WEIGHTS = "weights"


class Recipe(StrEnum):
    """How the exits of the large tier learn."""

    JOINT = "joint"
    SWEET = "sweet"
    FROZEN = "frozen"
    TAUGHT = "taught"


class Device(StrEnum):
    """Where training computes."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="Labelled texts: a .tsv, .csv, .jsonl or .parquet file, or a dataset of the library "
        "`datasets`: NAME, NAME:CONFIG, NAME@SPLIT.",
    ),
]
Validation = Annotated[
    str | None,
    typer.Option(
        metavar="DATA", help="Calibrate on this instead of a part of DATA.", rich_help_panel=DATA
    ),
]
Unlabelled = Annotated[
    str | None,
    typer.Option(
        metavar="DATA",
        help="More texts, without labels, to learn from: one per line (.txt), or a table.",
        rich_help_panel=DATA,
    ),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(help="Column of the label, where it is not `label`.", rich_help_panel=DATA),
]
TextColumn = Annotated[
    str | None,
    typer.Option(
        help="Column of the text, where it is not `text` or `sentence`.", rich_help_panel=DATA
    ),
]
PairColumn = Annotated[
    str | None,
    typer.Option(
        help="Column of the second text, where texts come in pairs.", rich_help_panel=DATA
    ),
]
Rename = Annotated[
    list[str] | None,
    typer.Option(
        metavar="OLD=NEW",
        help="Give a label of the data another name; may be repeated.",
        rich_help_panel=DATA,
    ),
]
HoldOut = Annotated[
    float | None,
    typer.Option(
        min=0.01,
        max=0.9,
        help="Share of the texts kept for calibration. Default: 0.15, more where texts are few.",
        rich_help_panel=DATA,
    ),
]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        min=4,
        help="Longer texts are cut to this many tokens. Default: so that 99 of 100 texts stay "
        "whole, at most 256.",
        rich_help_panel=DATA,
    ),
]
BalanceBy = Annotated[
    Balance,
    typer.Option(
        help="Let rare labels count more in training, by the inverse of their frequency or its "
        "root. Confidences are calibrated on texts as they come, all the same.",
        rich_help_panel=DATA,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        min=1, help="Use this many texts, drawn at random: a first trial.", rich_help_panel=DATA
    ),
]

Backbone = Annotated[
    str | None,
    typer.Option(
        help="Encoder: a Hugging Face name or a folder. Default: all-MiniLM-L6-v2, which comes "
        "with the packages.",
        rich_help_panel=LARGE,
    ),
]
LargeTier = Annotated[
    Path | None,
    typer.Option(
        metavar="BUNDLE",
        help="Take the large tier of this finished bundle as it is, and train a small tier only.",
        rich_help_panel=LARGE,
    ),
]
RecipeName = Annotated[
    Recipe | None, typer.Option(help="How the exits learn.", rich_help_panel=LARGE)
]
BackboneFirst = Annotated[
    bool,
    typer.Option(
        "--backbone-first",
        help="With the recipe `taught`: the earlier exits learn on a backbone that is trained "
        "already, as FastBERT published it.",
        rich_help_panel=LARGE,
    ),
]
Exits = Annotated[
    str | None,
    typer.Option(
        metavar="LAYERS",
        help="Layers with an exit: `2,3,4,6` (those behind the last one are not run); `all`; or "
        "`auto`, chosen on held-out texts. Default: a third, a half, two thirds and the whole.",
        rich_help_panel=LARGE,
    ),
]
Keep = Annotated[
    str | None,
    typer.Option(
        metavar="SHARES",
        help="Share of a text's tokens that goes on behind each exit but the last: `0.8,0.6,0.5`; "
        "or `auto`, chosen on held-out texts. Default: all of them.",
        rich_help_panel=LARGE,
    ),
]
Epochs = Annotated[
    int | None, typer.Option(min=1, help="Passes over the data.", rich_help_panel=LARGE)
]
BatchSize = Annotated[
    int | None, typer.Option(min=1, help="Texts per step.", rich_help_panel=LARGE)
]
LearningRate = Annotated[
    float | None, typer.Option(min=0.0, help="Of the encoder, at its peak.", rich_help_panel=LARGE)
]

Small = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="`static`, `conv`, `recurrent` or `shallow`, distilled from the large tier; `auto`: "
        "the one with which the cascade is expected to cost least; or a Hugging Face sequence "
        "classifier (name or folder), taken as it is.",
        rich_help_panel=SMALL,
    ),
]
SmallLayers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Of a `shallow` student: how many of the large tier's layers it keeps. Default: 1.",
        rich_help_panel=SMALL,
    ),
]
SmallWidth = Annotated[
    int | None,
    typer.Option(
        min=8,
        help="Of a `shallow` student: narrower layers of this width, which begin at random. "
        "Default: the large tier's own layers.",
        rich_help_panel=SMALL,
    ),
]
SmallEpochs = Annotated[
    int | None,
    typer.Option(min=1, help="Passes over what it is taught.", rich_help_panel=SMALL),
]

Out = Annotated[
    Path,
    typer.Option(
        "--out", "-o", help="Folder of the new bundle; must not exist yet.", rich_help_panel=BUNDLE
    ),
]
Name = Annotated[
    str | None,
    typer.Option(
        help="Name of the route. Default: the name of the folder.", rich_help_panel=BUNDLE
    ),
]
StoredPrecision = Annotated[
    Precision,
    typer.Option(
        help="Of the stored weights; a large tier that is taken keeps its own.",
        rich_help_panel=BUNDLE,
    ),
]
Export = Annotated[
    bool,
    typer.Option(
        help="Keep the stages for OpenVINO too, which serve on a CPU without PyTorch.",
        rich_help_panel=BUNDLE,
    ),
]
ServeIn = Annotated[
    list[Reduced] | None,
    typer.Option(
        "--serve-in",
        help="Take evidence for tiers that compute in this too; may be repeated. `int8` quantises "
        "the models. Where it is clearly faster, tiers then run in it.",
        rich_help_panel=BUNDLE,
    ),
]
Note = Annotated[
    str, typer.Option(help="A sentence on the data, for the model card.", rich_help_panel=BUNDLE)
]
Report = Annotated[
    str | None,
    typer.Option(
        "--report",
        metavar="FILE",
        help="Where a page goes that shows what the bundle buys, with some of the held-out texts; "
        "`none`: no page. Default: OUT-report.html.",
        rich_help_panel=BUNDLE,
    ),
]

DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Read and check everything, say what would be done and about how long it takes, end.",
        rich_help_panel=RUN,
    ),
]
CheckpointFolder = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        metavar="FOLDER",
        help="Where a killed run goes on from, given the same command. Default: OUT.partial.",
        rich_help_panel=RUN,
    ),
]
Seed = Annotated[
    int,
    typer.Option(min=0, help="Same seed, same bundle on the same machine.", rich_help_panel=RUN),
]
DeviceName = Annotated[
    Device, typer.Option(help="`auto`: the GPU where there is one.", rich_help_panel=RUN)
]
Bf16 = Annotated[
    bool | None,
    typer.Option(
        "--bf16/--no-bf16",
        help="Train in bf16 arithmetic. Default: where the device is quicker with it.",
        rich_help_panel=RUN,
    ),
]
Threads = Annotated[
    int, typer.Option(min=0, help="CPU threads; 0 for all cores.", rich_help_panel=RUN)
]
