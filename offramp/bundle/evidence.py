"""The evidence of a bundle on disk: what every tier said of the held-out examples, by precision.

labels (N,), tokens (N,), certifies (N,), and logits/<tier>/<precision> (exits of the tier, N, C):
raw, of the same examples in every precision, so that a cascade may mix precisions.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from offramp.bundle.manifest import DEFAULT_PRECISION, RESTORE, Manifest
from offramp.decision.evidence import Evidence
from offramp.errors import BundleError

EVIDENCE = "evidence.safetensors"


def write_evidence(
    directory: Path, manifest: Manifest, by_precision: Mapping[str, Evidence]
) -> None:
    """Write evidence of the same examples in one or more precisions, tied to the manifest's id."""
    first = next(iter(by_precision.values()))
    arrays: dict[str, NDArray[Any]] = {
        "labels": _as_it_lies(first.labels, np.int64),
        "tokens": _as_it_lies(first.tokens, np.int64),
        "certifies": _as_it_lies(first.certifies, np.bool_),
    }
    for precision, evidence in by_precision.items():
        if not np.array_equal(evidence.labels, first.labels):
            raise ValueError(f"the evidence in {precision} is of other examples")
        for tier in manifest.tiers:
            rows = [i for i, e in enumerate(evidence.exits) if e.tier == tier.name]
            logits = evidence.logits[rows]
            arrays[_logits_name(tier.name, precision)] = _as_it_lies(logits, np.float32)
    _write(directory / EVIDENCE, arrays, manifest)


def read_evidence(
    directory: Path, manifest: Manifest, precisions: Mapping[str, str] | None = None
) -> Evidence:
    """Read a bundle's evidence in the precision of each tier (`precisions`; fp32 where not named).

    BundleError where it is missing, broken, of another bundle, or not there in that precision.
    """
    chosen = {t.name: (precisions or {}).get(t.name, DEFAULT_PRECISION) for t in manifest.tiers}
    readouts = [r for t in manifest.tiers for r in t.readouts_in(chosen[t.name])]
    arrays = _read(directory / EVIDENCE, manifest)
    try:
        logits = [arrays[_logits_name(tier, precision)] for tier, precision in chosen.items()]
        return Evidence(
            exits=manifest.exit_costs,
            logits=np.concatenate(logits),
            labels=arrays["labels"],
            tokens=arrays["tokens"],
            readouts=tuple(readouts),
            certifies=arrays["certifies"],
        )
    except (KeyError, ValueError) as error:
        raise BundleError(
            f"{directory / EVIDENCE} does not fit the manifest ({error}); retrain the bundle"
        ) from None


def retie_evidence(directory: Path, manifest: Manifest, target: Path, new: Manifest) -> None:
    """Write a bundle's evidence into `target` under another id: files were added to the bundle that
    change nothing of what its exits say. Raises BundleError as `read_evidence` does.
    """
    arrays = _read(directory / EVIDENCE, manifest)
    _write(target / EVIDENCE, arrays, new)


def _write(path: Path, arrays: Mapping[str, NDArray[Any]], manifest: Manifest) -> None:
    # safetensors' own `save_file` keeps the file from everyone but its owner: a container that
    # serves the bundle as another user could not read it.
    path.write_bytes(save(dict(arrays), metadata={"bundle_id": manifest.id}))


def _read(path: Path, manifest: Manifest) -> dict[str, NDArray[Any]]:
    try:
        with safe_open(path, framework="numpy") as stream:
            metadata = stream.metadata() or {}
            arrays = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    except (FileNotFoundError, SafetensorError, OSError) as error:
        raise BundleError(f"{path} cannot be read ({error}); {RESTORE}") from None
    if metadata.get("bundle_id") != manifest.id:
        raise BundleError(
            f"{path} is evidence of bundle {metadata.get('bundle_id')}, but the models here are "
            f"bundle {manifest.id}: thresholds from it would mean nothing; "
            "restore the evidence that belongs to these models, or retrain"
        )
    return arrays


def _logits_name(tier: str, precision: str) -> str:
    return f"logits/{tier}/{precision}"


def _as_it_lies(array: NDArray[Any], kind: type[np.generic]) -> NDArray[Any]:
    """Contiguous: safetensors writes memory as it lies, whatever the order of an array."""
    return np.ascontiguousarray(array, dtype=kind)
