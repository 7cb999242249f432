"""The examples that are parted: a bundle's own evidence with labelled files, or a saved set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from bench.scores import pooled
from offramp.bundle import Manifest, read_evidence, read_manifest
from offramp.decision.evidence import Evidence
from offramp.errors import OfframpError
from training.calibrate import evidence_of
from training.data import Columns
from training.evaluate import score

ARRAYS = ("logits", "labels", "tokens")


class PoolError(OfframpError):
    """A saved pool that cannot be used; the message says what it must hold."""


def gathered(bundle: Path, files: Sequence[Path]) -> Evidence:
    """The bundle's evidence and every text of the labelled files, scored by its models."""
    found = read_evidence(bundle, read_manifest(bundle))
    for file in files:
        found = pooled(found, score(bundle, file, Columns()).examples)
    return found


def save(pool: Evidence, path: Path) -> None:
    """Keep a pool's examples for another run, as safetensors."""
    arrays = {name: np.ascontiguousarray(getattr(pool, name)) for name in ARRAYS}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(arrays, path)


def saved(bundle: Path, path: Path) -> Evidence:
    """A pool from a file: logits (E, N, C), raw, labels (N,), tokens (N,); npz or safetensors.

    Exits, costs and readouts are the bundle's. Raises PoolError.
    """
    manifest = read_manifest(bundle)
    try:
        arrays = _arrays(path)
        logits, labels, tokens = (arrays[name] for name in ARRAYS)
        _check(manifest, logits)
        return evidence_of(
            manifest.tiers,
            logits.astype(np.float32),
            labels.astype(np.int64),
            tokens.astype(np.int64),
        )
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise PoolError(
            f"{path} cannot be used ({error}); it must hold logits (exits, texts, labels), "
            f"labels and tokens for the exits of bundle {manifest.name!r}"
        ) from None


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    if path.suffix == ".npz":
        with np.load(path) as kept:
            return dict(kept)
    found: dict[str, NDArray[Any]] = load_file(path)
    return found


def _check(manifest: Manifest, logits: NDArray[Any]) -> None:
    expected = (len(manifest.exit_costs), len(manifest.labels))
    if logits.ndim != 3 or (logits.shape[0], logits.shape[2]) != expected:
        raise ValueError(f"logits are {logits.shape}, the bundle has {expected} exits and labels")
