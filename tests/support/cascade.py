"""A bundle without models, for the router's tests: manifest and synthetic evidence of a cascade."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from offramp.bundle import (
    ExitSpec,
    Manifest,
    TierSpec,
    content_id,
    read_manifest,
    write_evidence,
    write_manifest,
)
from offramp.decision.cost import CostCurve
from offramp.decision.evidence import Evidence
from offramp.decision.readout import Readout
from router.config import RouterSettings
from router.route import Route, load_route

EXITS = ("small", "large@1", "large@2", "large@3")
LABELS = ("negative", "positive")
MAX_TOKENS = 64
EXAMPLES = 800


def make_bundle(directory: Path, *, name: str = "sentiment", pairs: bool = False) -> Path:
    """Write a two-tier bundle; deeper exits are right more often. Its id depends on its name."""
    directory.mkdir(parents=True)
    small = TierSpec(
        "small",
        "student",
        (ExitSpec("small", CostCurve(10.0, 2.0)),),
        MAX_TOKENS,
        {"fp32": (Readout(),)},
    )
    large = TierSpec(
        "large",
        "multi_exit",
        tuple(
            ExitSpec(f"large@{layer}", CostCurve(100.0 * layer, 50.0 * layer, layer))
            for layer in (1, 2, 3)
        ),
        MAX_TOKENS,
        {"fp32": (Readout(),) * 3},
    )
    files = {f"small/{name}.json": "0" * 64}
    manifest = Manifest(
        name, content_id(files, (small, large)), LABELS, pairs, (small, large), files, "2026-01-01"
    )
    write_manifest(directory, manifest)
    write_evidence(directory, manifest, {"fp32": _evidence(manifest)})
    return directory


def _evidence(manifest: Manifest) -> Evidence:
    random = np.random.default_rng(5)
    labels = random.integers(0, 2, EXAMPLES)
    difficulty = random.normal(size=EXAMPLES)
    signs = 2 * labels - 1
    logits = [
        signs * skill + difficulty + random.normal(size=EXAMPLES) for skill in (1.0, 1.6, 2.0, 2.3)
    ]
    return Evidence(
        exits=manifest.exit_costs,
        logits=np.stack([np.stack([-x, x], axis=-1) for x in logits]).astype(np.float32),
        labels=labels,
        tokens=random.integers(4, 40, EXAMPLES),
        readouts=(Readout(),) * len(EXITS),
        certifies=np.arange(EXAMPLES) % 2 == 1,
    )


def make_route(directory: Path, name: str = "sentiment") -> Route:
    """The route of a bundle made here."""
    return load_route(name, directory, {"small": "small", "large": "large"})


def settings_for(bundle: Path, addresses: dict[str, str], **changes: object) -> dict:
    """A router's config as data; `changes`: policy, limits, drain_seconds."""
    policy = changes.get("policy", {"objective": {"threshold": 0.9}})
    return {
        "server": {
            "address": "127.0.0.1:0",
            "metrics_address": "127.0.0.1:0",
            "drain_seconds": 0,
        },
        "limits": {"tier_wait_seconds": 20, **changes.get("limits", {})},
        "tiers": {name: {"address": address} for name, address in addresses.items()},
        "routes": {
            "sentiment": {"bundle": str(bundle), "tiers": list(addresses), "policy": policy}
        },
    }


def write_config(path: Path, settings: dict) -> Path:
    """Write a config as an editor does: a new file put in the old one's place."""
    RouterSettings.model_validate(settings)
    return write_text(path, yaml.safe_dump(settings, sort_keys=False))


def write_text(path: Path, text: str) -> Path:
    """Replace a file in one step."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
    return path


def bundle_id(directory: Path) -> str:
    """The id of a bundle."""
    return read_manifest(directory).id
