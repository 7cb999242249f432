"""From a labelled file to bundles of other shapes: other recipes, fewer exits, fewer tokens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offramp.bundle import read_evidence, read_manifest
from services.backends.tokenizing import TextEncoder
from services.backends.torch_backend import TorchBackend
from services.models.loading import load_tier
from services.models.multi_exit import MultiExitClassifier
from tests.support import tiny
from training.data import read_labelled
from training.train import run


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_backbone(tmp_path_factory.mktemp("backbone"))


def train(tmp_path: Path, backbone: Path, **changes) -> Path:
    settings = tiny.settings(tmp_path / "bundle", backbone)
    large = replace(settings.large, epochs=3, **changes)
    small = replace(settings.small, kind="static", epochs=1, augment=1)
    return run(replace(settings, large=large, small=small))


def test_exits_and_lengths_left_to_be_chosen_are_in_the_bundle(tmp_path, backbone) -> None:
    bundle = train(tmp_path, backbone, recipe="frozen", exits="auto", keep="auto")
    network = load_tier(bundle, "large").network
    assert isinstance(network, MultiExitClassifier)
    manifest = read_manifest(bundle)
    names = [e.name for e in manifest.tier("large").exits]
    assert names == [f"large@{layer}" for layer in network.config.exits]
    assert network.config.exits[-1] == 3
    assert read_evidence(bundle, manifest).exit_names == ("small", *names)


def test_a_bundle_that_drops_tokens_serves_what_its_evidence_says(tmp_path, backbone) -> None:
    bundle = train(tmp_path, backbone, recipe="sweet", keep=(0.6, 0.5))
    tier = load_tier(bundle, "large")
    assert tier.network.config.keep == (0.6, 0.5)
    evidence = read_evidence(bundle, tier.manifest)
    served = TorchBackend(tier.network, TextEncoder.of(tier.tokenizer, tier.spec.max_tokens))
    served.prepare()
    texts = [text.text for text in read_labelled(tiny.REVIEWS, rename=tiny.RENAME).texts]
    found = np.stack([_all_logits(served, text) for text in texts], axis=1)
    of_large = evidence.logits[1:]
    for example in range(len(evidence.labels)):
        nearest = np.abs(found - of_large[:, example : example + 1]).max(axis=(0, 2)).min()
        assert nearest < 1e-3


def _all_logits(backend: TorchBackend, text: str) -> np.ndarray:
    """Logits (E, C) of one text that runs alone."""
    rows, found = backend.begin(backend.encode([(text, None)])), []
    for stage in range(backend.stages):
        rows, logits = backend.run_stage(stage, rows)
        found.append(logits[0])
    return np.stack(found)
