"""What `offramp train` can be told; every field has a default that works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from training.backbone import DEFAULT
from training.data import Columns
from training.parting import READOUT_SHARE


@dataclass(frozen=True, slots=True)
class LargeSettings:
    """Fine-tuning of the multi-exit model.

    bundle: take the large tier of this finished bundle as it is, and train none.
    recipe: what teaches which layers (see `training.recipes`): joint, sweet, frozen or taught.
    exits: layers with an exit, those behind the last one are not run; all: every layer; auto: the
        fewest that lose next to nothing on held-out texts; None: a third, a half, two thirds and
        the whole.
    keep: share of a text's tokens that goes on behind each exit but the last; auto: chosen on
        held-out texts; None: all of them.
    teach: weight of the last exit's answer, beside the label, in what the earlier exits learn, in
        the recipe `taught`.
    backbone_first: `taught` as FastBERT published it: the earlier exits learn on a frozen backbone.
    layer_decay: learning rate of a layer relative to the layer above it.
    mask_words: share of tokens hidden at every step, so that the model cannot learn texts by heart;
        what it knows by heart it is too sure of. Of pairs none is hidden.
    average: decay of the running mean of the weights, which is what is kept.
    mean_teacher: share of that mean's own answers in what is learned from the second epoch on.
    whole_texts: weight of a text that is no fragment of another one, where fragments weigh 1: whole
        texts are what will be served.
    """

    backbone: str = DEFAULT
    bundle: Path | None = None
    recipe: str = "taught"
    exits: tuple[int, ...] | str | None = None
    keep: tuple[float, ...] | str | None = None
    epochs: int = 3
    batch_size: int = 32
    learning_rate: float = 5e-5
    head_learning_rate: float = 2e-4
    layer_decay: float = 1.0
    weight_decay: float = 0.05
    dropout: float = 0.1
    mask_words: float = 0.1
    teach: float = 0.5
    backbone_first: bool = False
    warmup: float = 0.06
    average: float = 0.998
    mean_teacher: float = 0.6
    whole_texts: float = 2.0


@dataclass(frozen=True, slots=True)
class SmallSettings:
    """The small tier: by default a student, distilled.

    kind: static, conv, recurrent or shallow (see `training.students`); auto: of several the one
        with which the whole cascade is expected to cost least.
    classifier: a Hugging Face sequence classifier (name or folder) to take as it is instead.
    augment: altered copies of each text, at most, that the large model labels for students.
    pool_tokens: how many tokens such copies have, at most, all together.
    least_steps: of learning: what few texts give is gone through more than `epochs` times.
    temperature: of the answers that are learned.  label_weight: of a text's own label beside them.
    embedding, width, dropout: of static, conv and recurrent students.
    layers: that a shallow student keeps.  narrow: their width; None: as wide as the large model.
    shallow_epochs, shallow_learning_rate: its own; it knows much already, and is slow to train.
    """

    kind: str = "auto"
    classifier: str | None = None
    epochs: int = 6
    batch_size: int = 128
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.01
    augment: int = 20
    pool_tokens: int = 3_000_000
    least_steps: int = 600
    temperature: float = 1.0
    label_weight: float = 0.5
    embedding: int = 128
    width: int = 192
    dropout: float = 0.2
    layers: int = 1
    narrow: int | None = None
    shallow_epochs: int = 2
    shallow_learning_rate: float = 2e-4


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """One run from a labelled file to a bundle.

    data: a file (TSV, CSV, JSON lines, Parquet), or a dataset of the `datasets` library by name.
    validation: texts to hold out, instead of a share of `data`.
    unlabelled: texts without labels, for the models to learn from each other on.
    rename: what to call labels of the file, for example {"0": "negative", "1": "positive"}.
    hold_out: share of the whole texts that neither model is fitted on; readouts are fitted on
        `readout_share` of it, and the rest is the evidence. None: chosen from the data.
    max_tokens: where texts are cut. 0: chosen from the data by `training.train.run`.
    balance: weight of rare labels in the loss: none, sqrt or weights.
    precision: of the weights in the bundle: int8, fp16 or fp32.
    export: keep the stages for OpenVINO too, which serve on a CPU without PyTorch.
    serve_in: precisions to have evidence in besides fp32: bf16, int8.
    threads: 0 for all cores.  device: auto, cpu or cuda.  bf16: None for where it is quicker.
    checkpoint: folder from which a killed run goes on; None: beside `out` (see `training.train`).
    limit: train on so many texts drawn at random.  data_note: a sentence for the model card.
    report: where a page goes that shows what the bundle buys, some held-out texts on it; None: no
        page.
    """

    data: Path | str
    out: Path
    name: str
    columns: Columns = field(default_factory=Columns)
    validation: Path | str | None = None
    unlabelled: Path | str | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    hold_out: float | None = None
    readout_share: float = READOUT_SHARE
    max_tokens: int = 0
    balance: str = "none"
    seed: int = 0
    precision: str = "int8"
    export: bool = True
    serve_in: tuple[str, ...] = ()
    threads: int = 0
    device: str = "auto"
    bf16: bool | None = None
    checkpoint: Path | None = None
    limit: int | None = None
    data_note: str = ""
    report: Path | None = None
    large: LargeSettings = field(default_factory=LargeSettings)
    small: SmallSettings = field(default_factory=SmallSettings)
