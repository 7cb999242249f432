"""From a folder of a bundle to a network that can be served, and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from offramp.bundle import Manifest, TierSpec, read_manifest, verify_tier
from offramp.errors import BundleError
from services.models import student_kinds
from services.models.families import cut_config
from services.models.files import EXPORTED, NETWORK, WEIGHTS
from services.models.multi_exit import MultiExitClassifier, MultiExitConfig
from services.models.sequence_classifier import SequenceClassifier
from services.models.staged import StagedNetwork
from services.models.storage import load_weights, save_weights
from services.models.student import Student, StudentConfig

KINDS = ("multi_exit", "student", "sequence_classifier")


@dataclass(frozen=True, slots=True)
class TierModel:
    """A tier ready to run: its network (in eval mode, fp32), tokenizer and place in the bundle.

    folder: where all of that lies.
    quantised: the folder of its stages in int8, which is there once they were made.
    """

    network: StagedNetwork
    tokenizer: PreTrainedTokenizerBase
    spec: TierSpec
    manifest: Manifest
    folder: Path
    quantised: Path


def load_tier(directory: Path, tier: str) -> TierModel:
    """Load one tier of a bundle. Raises BundleError, with a remedy, where anything is amiss."""
    manifest = read_manifest(directory)
    spec = manifest.tier(tier)
    verify_tier(directory, manifest, tier)
    folder = directory / tier
    try:
        network = read_network(folder, spec.kind)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except KeyError:
        known = ", ".join(KINDS)
        raise BundleError(
            f"tier {tier!r} is of kind {spec.kind!r}, this version knows: {known}"
        ) from None
    except (OSError, ValueError) as error:
        raise BundleError(f"tier {tier!r} in {folder} cannot be loaded ({error})") from None
    return TierModel(network, tokenizer, spec, manifest, folder, folder / EXPORTED["int8"])


def read_network(folder: Path, kind: str) -> StagedNetwork:
    """The network in a tier's folder, in eval mode. Raises KeyError for a kind not in KINDS."""
    network = _READERS[kind](folder)
    load_weights(network, folder / WEIGHTS)
    return network.eval()


def save_tier(
    folder: Path, network: StagedNetwork, tokenizer: PreTrainedTokenizerBase, precision: str
) -> str:
    """Write a network and its tokenizer so that `load_tier` reads them; return the tier's kind."""
    folder.mkdir(parents=True)
    network = _without_idle_layers(network)
    kind, sizes = _write_config(folder, network)
    (folder / NETWORK).write_text(json.dumps(sizes, indent=2) + "\n", encoding="utf-8")
    save_weights(network, folder / WEIGHTS, precision)
    tokenizer.save_pretrained(folder)
    return kind


def _without_idle_layers(network: StagedNetwork) -> StagedNetwork:
    """A network less the layers behind its last exit, which never run."""
    if not isinstance(network, MultiExitClassifier):
        return network
    encoder, depth = network.encoder, network.config.exits[-1]
    if depth == len(network.family.layers(encoder)):
        return network
    shorter = MultiExitClassifier(first_layers(encoder, depth), network.config)
    shorter.pools, shorter.heads = network.pools, network.heads
    return shorter


def _write_config(folder: Path, network: StagedNetwork) -> tuple[str, dict[str, object]]:
    if isinstance(network, MultiExitClassifier):
        network.encoder.config.save_pretrained(folder)
        return "multi_exit", asdict(network.config)
    if isinstance(network, Student):
        return "student", asdict(network.config)
    if isinstance(network, SequenceClassifier):
        network.model.config.save_pretrained(folder)
        return "sequence_classifier", {"order": network.order}
    raise TypeError(f"a {type(network).__name__} cannot be kept in a bundle")


def _sizes(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / NETWORK).read_text(encoding="utf-8"))
    return {name: tuple(v) if isinstance(v, list) else v for name, v in content.items()}


def _read_multi_exit(folder: Path) -> StagedNetwork:
    config = MultiExitConfig(**_sizes(folder))
    encoder = bare_encoder(AutoModel.from_config(AutoConfig.from_pretrained(folder)))
    return MultiExitClassifier(encoder, config)


def _read_student(folder: Path) -> StagedNetwork:
    return student_kinds.make(StudentConfig(**_sizes(folder)))


def _read_sequence_classifier(folder: Path) -> StagedNetwork:
    config = AutoConfig.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_config(config)
    return SequenceClassifier(model, _sizes(folder)["order"])


_READERS: dict[str, Callable[[Path], StagedNetwork]] = {
    "multi_exit": _read_multi_exit,
    "student": _read_student,
    "sequence_classifier": _read_sequence_classifier,
}


def first_layers(encoder: PreTrainedModel, layers: int) -> PreTrainedModel:
    """A copy of an encoder's embeddings and of its first layers."""
    shorter = bare_encoder(AutoModel.from_config(cut_config(encoder.config, layers)))
    weights = encoder.state_dict()
    shorter.load_state_dict({name: weights[name] for name in shorter.state_dict()})
    return shorter


def bare_encoder(encoder: PreTrainedModel) -> PreTrainedModel:
    """Drop a pooler, which the exits do not use."""
    if getattr(encoder, "pooler", None) is not None:
        setattr(encoder, "pooler", None)  # noqa: B010  (not a Tensor or Module to a type checker)
    return encoder
