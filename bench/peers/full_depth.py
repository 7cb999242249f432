"""The large tier at full depth, written as what the peers can load: Hugging Face and OpenVINO."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from offramp.errors import OfframpError
from services.backends.tokenizing import TextEncoder
from services.models.loading import TierModel, load_tier
from services.models.multi_exit import MultiExitClassifier

SERVERS = Path(__file__).parent / "servers"
MODELING = SERVERS / "modeling_full_depth.py"
ABOUT = "peers.json"
GRAPH = "model.xml"
# Texts that ranges of activations are taken from, and how many of them at a time.
EXAMPLES, BATCH = 300, 10
# Largest difference of a logit from the tier's own.
TOLERANCE = 1e-3


class PeerError(OfframpError):
    """A bundle that peers cannot serve, or a peer that does not do what it should."""


def write(bundle: Path, folder: Path, examples: Sequence[str]) -> None:
    """Write the large tier of a bundle to `folder`, anew.

    examples: texts for the quantisation; no labels are looked at.  Raises PeerError.
    """
    tier = load_tier(bundle, "large")
    network = tier.network
    if not isinstance(network, MultiExitClassifier) or not network.pools:
        raise PeerError(f"the large tier of {bundle} does not pool by attention")
    if tier.manifest.pairs:
        raise PeerError(f"{bundle} takes pairs of texts; the peers are set up for single ones")
    shutil.rmtree(folder, ignore_errors=True)
    model = _model(network, tier, _module())
    model.save_pretrained(folder)
    # Some tokenizers know no limit; a pipeline cuts where this says.
    tier.tokenizer.model_max_length = tier.spec.max_tokens
    tier.tokenizer.save_pretrained(folder)
    encoder = TextEncoder.of(tier.tokenizer, tier.spec.max_tokens)
    about = {
        "labels": tier.manifest.labels,
        "max_tokens": tier.spec.max_tokens,
        "pad_token_id": encoder.form.pad_token_id,
        "type_ids": encoder.form.type_ids,
    }
    (folder / ABOUT).write_text(json.dumps(about), encoding="utf-8")
    _check(network, model, encoder, examples[:BATCH])
    _write_graphs(model, encoder, examples[:EXAMPLES], folder)


def _module() -> ModuleType:
    """The modelling file, as transformers will import it: by its path."""
    spec = importlib.util.spec_from_file_location(MODELING.stem, MODELING)
    if spec is None or spec.loader is None:
        raise PeerError(f"{MODELING} cannot be imported")
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found  # where transformers looks for the file to copy
    spec.loader.exec_module(found)
    found.FullDepthConfig.register_for_auto_class()
    found.FullDepthForSequenceClassification.register_for_auto_class(
        "AutoModelForSequenceClassification"
    )
    return found


def _model(network: MultiExitClassifier, tier: TierModel, module: ModuleType) -> Any:
    labels = dict(enumerate(tier.manifest.labels))
    config = module.FullDepthConfig(
        encoder=network.encoder.config.to_dict(),
        depth=network.config.exits[-1],
        id2label=labels,
        label2id={name: place for place, name in labels.items()},
        num_labels=len(labels),
    )
    model = module.FullDepthForSequenceClassification(config).eval()
    head = network.heads[-1]
    state = {f"encoder.{name}": value for name, value in network.encoder.state_dict().items()}
    for place, pool in enumerate(network.pools):
        state |= {
            f"pools.{place}.{n}": v for n, v in pool.get_submodule("scores").state_dict().items()
        }
    state |= head.state_dict()
    model.load_state_dict(state)
    return model


def _inputs(encoder: TextEncoder, texts: Sequence[str]) -> list[NDArray[np.int64]]:
    """Ids, mask and, where the model takes them, types (B, T)."""
    return list(encoder.batch(encoder.encode([(text, None) for text in texts])).inputs)


@torch.no_grad()
def _check(
    network: MultiExitClassifier, model: Any, encoder: TextEncoder, texts: Sequence[str]
) -> None:
    """Raise PeerError unless the model answers as the tier does at full depth."""
    given = [torch.from_numpy(array) for array in _inputs(encoder, texts)]
    off = float((model(*given).logits - network(*given)[-1]).abs().max())
    if not off <= TOLERANCE:
        raise PeerError(f"what the peers would serve is off by {off:.2g} from the large tier")


class _Logits(torch.nn.Module):
    """The model as a function of arrays."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Any, mask: Any, types: Any = None) -> Any:
        return self.model(ids, mask, types).logits


def _write_graphs(model: Any, encoder: TextEncoder, texts: Sequence[str], folder: Path) -> None:
    """One graph in fp32, one in int8, each in a folder of its own."""
    import openvino

    from training.openvino_export import quantised

    batches = [
        _inputs(encoder, texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)
    ]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        given = tuple(torch.from_numpy(array) for array in batches[0])
        exact = openvino.convert_model(_Logits(model), example_input=given)
    graphs = {"openvino-fp32": exact, "openvino-int8": quantised(exact, batches, smooth=True)}
    for name, graph in graphs.items():
        (folder / name).mkdir()
        openvino.save_model(graph, folder / name / GRAPH, compress_to_fp16=False)
