"""A cascade whose large tier has the size of a published encoder, and random weights, for timing.

The small tier is a real one. Who goes how deep is taken from the evidence of the bundle that it is
made from: each exit's threshold lets as many texts go as leave there by that evidence. Answers mean
nothing; what they cost is what such a model costs.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModel

from offramp.bundle import (
    DEFAULT_PRECISION,
    ExitSpec,
    TierSpec,
    content_id,
    read_evidence,
    read_manifest,
    tier_files,
    write_evidence,
    write_manifest,
)
from offramp.decision.confidence import Measure
from offramp.decision.evidence import Evidence
from offramp.decision.frontier import Frontier
from offramp.decision.plan import NEVER
from offramp.decision.readout import Readout
from offramp.errors import OfframpError
from services.backends.opening import Wish, open_tier
from services.models.flops import exit_flops
from services.models.loading import TierModel, bare_encoder, load_tier, save_tier
from services.models.multi_exit import MultiExitClassifier
from training import calibrate, export
from training.data import LabelledTexts, Text
from training.provenance import TRAINING

SMALL, LARGE = "small", "large"
# The mix of exits that texts are made to have is that of this speedup on the real evidence.
SPEEDUP = 4.0
# Vocabulary and padding are the bundle's own: its tokenizer is the one that is used.
SIZES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "bert-base": ("bert", {}),
    "roberta-large": (
        "roberta",
        {
            "hidden_size": 1024,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "intermediate_size": 4096,
            "max_position_embeddings": 514,
        },
    ),
}


class SizeError(OfframpError):
    """A bundle that no cascade of another size can be made from."""


@dataclass(frozen=True, slots=True)
class Sized:
    """A bundle, and the thresholds by exit with which its texts have the mix of exits wanted.

    precision: of the small tier, which they hold for.
    """

    bundle: Path
    precision: str
    thresholds: Mapping[str, float]
    shares: Mapping[str, float]


def make(size: str, source: Path, texts: Sequence[str], folder: Path, seed: int) -> Sized:
    """Write a bundle with a large tier of a size into `folder`, anew.

    source: a bundle of two tiers for single texts.  texts: those that will be sent.
    Raises SizeError.
    """
    known = read_manifest(source)
    if known.pairs or [spec.name for spec in known.tiers] != [SMALL, LARGE]:
        raise SizeError(f"{source}: a bundle for single texts with tiers small and large is wanted")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source / SMALL, folder / SMALL)
    shutil.copyfile(source / TRAINING, folder / TRAINING)
    real = load_tier(source, LARGE)
    network = _network(size, real, seed)
    kind = save_tier(folder / LARGE, network, real.tokenizer, "fp32")
    readouts = {DEFAULT_PRECISION: _plain(network.stages)}
    spec = TierSpec(LARGE, kind, _exits(network), real.spec.max_tokens, readouts)
    large = replace(real, network=network, spec=spec, folder=folder / LARGE)
    export.add([large], folder)
    # The small tier may serve in what it serves in here anyway; the large one only in fp32.
    served = open_tier(source, SMALL, Wish()).backend.precision
    precisions = dict.fromkeys((DEFAULT_PRECISION, served))
    small = real.manifest.tier(SMALL)
    small = replace(small, readouts={p: small.readouts_in(p) for p in precisions})
    specs = (small, spec)
    files = tier_files(folder, specs)
    made = datetime.now(UTC).isoformat(timespec="seconds")
    id_ = content_id(files, specs)
    manifest = replace(real.manifest, name=size, tiers=specs, files=files, id=id_, created=made)
    write_manifest(folder, manifest)
    # Nothing reads the labels: random answers are neither right nor wrong.
    none = np.zeros((len(texts), len(manifest.labels)), dtype=np.float32)
    sent = LabelledTexts(tuple(map(Text, texts)), none, manifest.labels)
    tiers = (load_tier(folder, SMALL), replace(large, manifest=manifest))
    evidence = _evidence(tiers, sent, tuple(precisions))
    write_evidence(folder, manifest, evidence)
    frontier = Frontier(read_evidence(source, real.manifest).choosing, Measure.MAX_PROB)
    shares = list(frontier.at_cost(1.0 / SPEEDUP).forecast.exit_shares.values())
    found = thresholds(evidence[served].confidences(Measure.MAX_PROB), shares)
    exits = evidence[served].exit_names
    return Sized(
        folder,
        served,
        dict(zip(exits, found, strict=True)),
        dict(zip(exits, shares, strict=True)),
    )


def _evidence(
    tiers: tuple[TierModel, TierModel], texts: LabelledTexts, precisions: Sequence[str]
) -> dict[str, Evidence]:
    """What both tiers say of texts: the small one in each precision, the large one in fp32.

    Evidence in a precision holds all tiers: the large one's stands there in fp32 too, which nothing
    reads, for the tier has no readouts in another.
    """
    small, large = tiers
    known: calibrate.Known = {}
    calibrate.cascade_logits([large], texts, DEFAULT_PRECISION, known)
    found = {}
    for precision in precisions:
        known[LARGE, precision] = known[LARGE, DEFAULT_PRECISION]
        logits, tokens = calibrate.cascade_logits(tiers, texts, precision, known)
        specs = (
            small.spec,
            replace(large.spec, readouts={precision: _plain(len(large.spec.exits))}),
        )
        found[precision] = calibrate.evidence_of(
            specs, logits, texts.labels, tokens, precision=precision
        )
    return found


def _exits(network: MultiExitClassifier) -> tuple[ExitSpec, ...]:
    names = [f"{LARGE}@{layer}" for layer in network.config.exits]
    return tuple(ExitSpec(n, c) for n, c in zip(names, exit_flops(network), strict=True))


def _plain(exits: int) -> tuple[Readout, ...]:
    """Readouts that change nothing."""
    return tuple(Readout() for _ in range(exits))


def _network(size: str, model: TierModel, seed: int) -> MultiExitClassifier:
    """Of a size, with random weights; its exits lie as deep as those of a large tier."""
    if not isinstance(model.network, MultiExitClassifier):
        raise SizeError("the large tier of this bundle has one exit: nothing leaves early there")
    family, sizes = SIZES[size]
    pad = model.tokenizer.pad_token_id
    own = {"vocab_size": len(model.tokenizer), "pad_token_id": pad}
    config = AutoConfig.for_model(family, **{**sizes, **own})
    torch.manual_seed(seed)
    encoder = bare_encoder(AutoModel.from_config(config))
    real = model.network.config
    exits = tuple(round(e / real.exits[-1] * config.num_hidden_layers) for e in real.exits)
    return MultiExitClassifier(encoder, replace(real, exits=exits, keep=None)).eval()


def thresholds(confidences: NDArray[np.float64], shares: Sequence[float]) -> tuple[float, ...]:
    """Thresholds (E,) with which a share of all examples leaves at each exit.

    confidences: (E, N).  shares: (E,), which sum to 1.
    """
    left = np.ones(confidences.shape[1], dtype=bool)
    found = []
    for scores, share in zip(confidences[:-1], shares, strict=False):
        leaving = min(round(share * len(left)), int(left.sum()))
        threshold = float(np.sort(scores[left])[-leaving]) if leaving else NEVER
        found.append(threshold)
        left &= ~((scores >= threshold) & (threshold < NEVER))
    return (*found, 0.0)
