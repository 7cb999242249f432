"""Real but tiny models, tokenizers and bundles for the tests of the tiers; weights are random."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from offramp.bundle import ExitSpec, Manifest, TierSpec, content_id, tier_files, write_manifest
from offramp.decision.calibrators import Temperature, VectorScaling
from offramp.decision.learned import LearnedScore
from offramp.decision.readout import Readout
from services.backends.tokenizing import TextEncoder
from services.models.files import EXPORTED, WEIGHTS, read_integers
from services.models.flops import exit_flops
from services.models.loading import save_tier
from services.models.multi_exit import MultiExitClassifier, MultiExitConfig
from services.models.staged import StagedNetwork
from services.models.student import Student, StudentConfig
from services.models.student_conv import ConvStudent

WORDS = tuple(f"w{number}" for number in range(60))
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
LARGE_EXITS = (1, 2, 4)
READOUTS = {
    "small": (Readout(Temperature(1.3), score=LearnedScore((0.4, 1.0, 0.5, 0.0, 0.0), -0.2)),),
    # The second exit is mixed with the first, the third compares itself with the second.
    "large": (
        Readout(Temperature(0.5), score=LearnedScore((0.3, 1.5, 0.2, 0.0, 0.0), -1.0)),
        Readout(
            Temperature(0.25),
            mix=(0.2, 0.8),
            score=LearnedScore((0.5, 0.1, 0.2, 0.7, 0.3), -0.4),
        ),
        Readout(
            VectorScaling((1.8, 2.2, 1.5), (0.1, 0.0, -0.2)),
            score=LearnedScore((0.3, 0.4, 0.2, 1.1, 0.8), -1.2),
        ),
    ),
}
MAX_TOKENS = 24


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A WordPiece tokenizer in which every word of WORDS is one token; [CLS] text [SEP]."""
    vocabulary = {token: number for number, token in enumerate((*SPECIAL, *WORDS))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def make_network(exits: tuple[int, ...] = LARGE_EXITS, labels: int = 3) -> MultiExitClassifier:
    """A BERT of four layers, width 32, with weights wide enough that texts differ in confidence."""
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=len(SPECIAL) + len(WORDS),
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.2,
    )
    encoder = BertModel(config, add_pooling_layer=False)
    network = MultiExitClassifier(encoder, MultiExitConfig(exits=exits, labels=labels))
    for name, weight in network.heads.named_parameters():
        if name.endswith("out.weight"):
            torch.nn.init.normal_(weight, std=1.5)
    return network.eval()


def make_student(labels: int = 3) -> Student:
    """A student of width 16."""
    torch.manual_seed(8)
    sizes = StudentConfig(len(SPECIAL) + len(WORDS), labels, embedding=16, width=16)
    return ConvStudent(sizes).eval()


def make_bundle(
    directory: Path,
    pairs: bool = False,
    precisions: tuple[str, ...] = ("fp32",),
    *,
    exported: bool = False,
) -> Path:
    """Write a whole two-tier bundle, small and large, as training would, but for evidence.

    exported: with stages for OpenVINO in fp32.
    """
    networks = {"small": make_student(), "large": make_network()}
    names = {"small": ("small",), "large": tuple(f"large@{layer}" for layer in LARGE_EXITS)}
    tiers = []
    for tier, network in networks.items():
        kind = save_tier(directory / tier, network, make_tokenizer(), "fp32")
        if "int8" in precisions:
            _quantise(network, directory / tier / EXPORTED["int8"])
        if exported:
            _export(network, directory / tier / EXPORTED["fp32"])
        columns = zip(names[tier], exit_flops(network), strict=True)
        exits = tuple(ExitSpec(*column) for column in columns)
        readouts = dict.fromkeys(precisions, READOUTS[tier])
        tiers.append(TierSpec(tier, kind, exits, MAX_TOKENS, readouts))
    files = tier_files(directory, tiers)
    created = datetime.now(UTC).isoformat()
    labels = ("negative", "neutral", "positive")
    identity = content_id(files, tiers)
    write_manifest(
        directory, Manifest("tiny", identity, labels, pairs, tuple(tiers), files, created)
    )
    return directory


def _export(network: StagedNetwork, folder: Path) -> None:
    from training.openvino_export import export_fp32  # seconds to import

    export_fp32(network, TextEncoder.of(make_tokenizer(), MAX_TOKENS), folder)


def _quantise(network: StagedNetwork, folder: Path) -> None:
    from training.openvino_export import export_int8  # seconds to import

    encoder = TextEncoder.of(make_tokenizer(), MAX_TOKENS)
    texts = [" ".join(WORDS[start : start + 9]) for start in range(50)]
    rows = encoder.encode([(text, None) for text in texts])
    export_int8(network, encoder, folder, rows, integers=read_integers(folder.parent / WEIGHTS))
