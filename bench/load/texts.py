"""The texts that are sent: a labelled file, in random order, as a bundle names its labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from offramp.bundle import read_manifest
from training.data import read_labelled
from training.provenance import TRAINING


def labelled_texts(data: Path, bundle: Path, seed: int) -> tuple[list[str], list[str]]:
    """Texts and the names of their labels."""
    manifest = read_manifest(bundle)
    made = json.loads((bundle / TRAINING).read_text(encoding="utf-8"))
    found = read_labelled(data, rename=made["rename"], label_names=manifest.labels)
    order = np.random.default_rng(seed).permutation(len(found))
    return [found.texts[i].text for i in order], [manifest.labels[found.labels[i]] for i in order]
