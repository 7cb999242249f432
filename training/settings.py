"""What `offramp train` can be told; every field has a default that works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from training.backbone import DEFAULT
from training.data import Columns


@dataclass(frozen=True, slots=True)
class LargeSettings:
    """Fine-tuning of the multi-exit model.

    teach: weight of the last exit's answer, beside the label, in what the earlier exits learn.
    layer_decay: learning rate of a layer relative to the layer above it.
    mask_words: share of tokens hidden at every step, so that the model cannot learn texts by heart;
        what it knows by heart it is too sure of.
    average: decay of the running mean of the weights, which is what is kept.
    mean_teacher: share of that mean's own answers in what is learned from the second epoch on.
    whole_texts: weight of a text that is no fragment of another one, where fragments weigh 1: whole
        texts are what will be served.
    """

    backbone: str = DEFAULT
    exits: tuple[int, ...] | None = None
    epochs: int = 3
    batch_size: int = 32
    learning_rate: float = 5e-5
    head_learning_rate: float = 2e-4
    layer_decay: float = 1.0
    weight_decay: float = 0.05
    dropout: float = 0.1
    mask_words: float = 0.1
    teach: float = 0.5
    warmup: float = 0.06
    average: float = 0.998
    mean_teacher: float = 0.6
    whole_texts: float = 2.0


@dataclass(frozen=True, slots=True)
class SmallSettings:
    """The small tier: by default a student, distilled.

    classifier: a Hugging Face sequence classifier (name or folder) to take as it is instead.
    augment: altered copies of each text that the large model labels for the student to learn from.
    """

    classifier: str | None = None
    epochs: int = 6
    batch_size: int = 128
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.01
    augment: int = 4
    embedding: int = 128
    width: int = 192
    dropout: float = 0.2


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """One run from a labelled file to a bundle.

    rename: what to call labels of the file, for example {"0": "negative", "1": "positive"}.
    hold_out: share of the whole texts that neither model is fitted on; temperatures are fitted on
        `temperature_share` of it, and the rest is the evidence.
    precision: of the weights in the bundle: int8, fp16 or fp32.
    threads: 0 for all cores.  bf16: None for where it is quicker.
    limit: train on so many texts drawn at random.  data_note: a sentence for the model card.
    """

    data: Path
    out: Path
    name: str
    columns: Columns = field(default_factory=Columns)
    rename: Mapping[str, str] = field(default_factory=dict)
    hold_out: float = 0.15
    temperature_share: float = 0.4
    max_tokens: int = 128
    seed: int = 0
    precision: str = "int8"
    threads: int = 0
    bf16: bool | None = None
    limit: int | None = None
    data_note: str = ""
    large: LargeSettings = field(default_factory=LargeSettings)
    small: SmallSettings = field(default_factory=SmallSettings)
