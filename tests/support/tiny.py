"""A tiny bundle, really trained by the project's own training code in a few seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from training.settings import LargeSettings, SmallSettings, TrainSettings
from training.train import run

REVIEWS = Path(__file__).parent.parent / "data" / "reviews.tsv"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
RENAME = {"0": "negative", "1": "positive"}


def make_backbone(folder: Path, texts: Sequence[str] | None = None) -> Path:
    """Write a BERT of three narrow layers and a WordPiece tokenizer learned from texts.

    texts: by default the reviews.  The weights are the same every time, whatever ran before.
    """
    tokenizer = make_tokenizer(texts)
    tokenizer.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def make_tokenizer(texts: Sequence[str] | None = None) -> PreTrainedTokenizerFast:
    """A lower-case WordPiece tokenizer with BERT's special tokens, learned from texts."""
    if texts is None:
        lines = REVIEWS.read_text(encoding="utf-8").splitlines()[1:]
        texts = [line.split("\t")[1] for line in lines]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=SPECIAL)
    tokenizer.train_from_iterator(texts, trainer)
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", sep), ("[CLS]", cls))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def settings(out: Path, backbone: Path, **changes: object) -> TrainSettings:
    """Settings of a run over the reviews that takes seconds."""
    chosen: dict[str, object] = {
        "data": REVIEWS,
        "out": out,
        "name": "reviews",
        "rename": RENAME,
        "hold_out": 0.3,
        "max_tokens": 48,
        "threads": 1,
        "export": False,
        "large": LargeSettings(
            backbone=str(backbone),
            exits=(1, 2, 3),
            epochs=14,
            learning_rate=2e-3,
            head_learning_rate=4e-3,
        ),
        "small": SmallSettings(kind="conv", epochs=3, augment=2, embedding=16, width=16),
        **changes,
    }
    return TrainSettings(**chosen)


def train_bundle(folder: Path) -> Path:
    """Train the tiny bundle in `folder`; return where it stands."""
    return run(settings(folder / "reviews", make_backbone(folder / "backbone")))
