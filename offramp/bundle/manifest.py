"""The manifest of a bundle: tiers, exits, readouts, files, and an id that ties them together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from offramp.decision.cost import CostCurve, ExitCost
from offramp.decision.readout import Readout, readout_from
from offramp.errors import BundleError

FORMAT = 2
MANIFEST = "manifest.json"
# Of a tier's folder: what makes tokens of a text, and says which of them its model takes.
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
# What a tier may compute in. Another precision gives other logits, so it has evidence of its own.
PRECISIONS = ("fp32", "bf16", "int8")
DEFAULT_PRECISION = "fp32"
RESTORE = "restore or retrain the bundle"


@dataclass(frozen=True, slots=True)
class ExitSpec:
    """An exit as the manifest knows it, with the cost from its tier's input."""

    name: str
    flops: CostCurve


@dataclass(frozen=True, slots=True)
class TierSpec:
    """A tier of the bundle: the folder of its model, what kind of model, and its exits in order.

    readouts: by precision, one per exit.
    """

    name: str
    kind: str
    exits: tuple[ExitSpec, ...]
    max_tokens: int
    readouts: Mapping[str, tuple[Readout, ...]]

    def readouts_in(self, precision: str) -> tuple[Readout, ...]:
        """One readout per exit; BundleError with the remedy where there is none in a precision."""
        if precision not in self.readouts:
            known = ", ".join(self.readouts) or "none"
            raise BundleError(
                f"tier {self.name!r} has no evidence in {precision} (it has: {known}); take it "
                f"with `offramp calibrate BUNDLE DATA --precision {precision}`, or run the tier "
                "in another precision (engine.precision in its config)"
            )
        return self.readouts[precision]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle says of itself."""

    name: str
    id: str
    labels: tuple[str, ...]
    pairs: bool
    tiers: tuple[TierSpec, ...]
    files: Mapping[str, str]
    created: str

    def tier(self, name: str) -> TierSpec:
        """The tier of that name; BundleError with the known ones otherwise."""
        for spec in self.tiers:
            if spec.name == name:
                return spec
        known = ", ".join(spec.name for spec in self.tiers)
        raise BundleError(f"bundle {self.name!r} has no tier {name!r}; it has: {known}")

    @property
    def tokenizes_once(self) -> bool:
        """Whether every tier makes the same tokens of a text."""
        made_by = {(*self._hashes(t, TOKENIZER_FILES), t.max_tokens) for t in self.tiers}
        return len(made_by) == 1 and None not in made_by.pop()

    def _hashes(self, tier: TierSpec, names: Iterable[str]) -> list[str | None]:
        return [self.files.get(f"{tier.name}/{name}") for name in names]

    @property
    def exit_costs(self) -> tuple[ExitCost, ...]:
        """All exits in the order of the cascade."""
        return tuple(ExitCost(e.name, t.name, e.flops) for t in self.tiers for e in t.exits)


def content_id(files: Mapping[str, str], tiers: Iterable[TierSpec]) -> str:
    """Hash of what decides the answers: every tier's files, exits and readouts."""
    content = {"files": dict(sorted(files.items())), "tiers": [asdict(tier) for tier in tiers]}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    return digest.hexdigest()[:16]


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content, in hex. Raises BundleError where it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror})") from None


def tier_files(directory: Path, tiers: Iterable[TierSpec]) -> dict[str, str]:
    """Hash of every file in the folders of the tiers, by path relative to the bundle."""
    return {
        path.relative_to(directory).as_posix(): file_hash(path)
        for tier in tiers
        for path in sorted((directory / tier.name).rglob("*"))
        if path.is_file()
    }


def read_manifest(directory: Path) -> Manifest:
    """Read a bundle's manifest; BundleError with a remedy where it is missing or unreadable."""
    path = directory / MANIFEST
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(
            f"no bundle at {directory}: {MANIFEST} is missing; "
            "make one with `offramp train`, or point to a folder that has one"
        ) from None
    except (OSError, ValueError) as error:
        raise BundleError(
            f"{path} cannot be read ({error}); restore or retrain the bundle"
        ) from None
    try:
        if raw["format"] != FORMAT:
            raise BundleError(
                f"{path} has format {raw['format']}, but this version reads {FORMAT}; retrain it"
            )
        manifest = Manifest(
            name=raw["name"],
            id=raw["id"],
            labels=tuple(raw["labels"]),
            pairs=raw["pairs"],
            tiers=tuple(_tier(entry) for entry in raw["tiers"]),
            files=raw["files"],
            created=raw["created"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"{path} is incomplete ({error!r}); restore or retrain the bundle"
        ) from None
    if content_id(manifest.files, manifest.tiers) != manifest.id:
        raise BundleError(
            f"{path} was edited: its id {manifest.id} is not the hash of what it lists; {RESTORE}"
        )
    return manifest


def _tier(entry: Mapping[str, Any]) -> TierSpec:
    return TierSpec(
        name=entry["name"],
        kind=entry["kind"],
        exits=tuple(ExitSpec(e["name"], CostCurve(**e["flops"])) for e in entry["exits"]),
        max_tokens=int(entry["max_tokens"]),
        readouts={
            precision: tuple(readout_from(readout) for readout in readouts)
            for precision, readouts in entry["readouts"].items()
        },
    )


def verify_tier(directory: Path, manifest: Manifest, tier: str) -> None:
    """Check every file of a tier against the manifest; BundleError names the first that differs."""
    for name, expected in manifest.files.items():
        if not name.startswith(f"{tier}/"):
            continue
        path = directory / name
        if not path.is_file():
            raise BundleError(f"{path} is missing; {RESTORE}")
        if file_hash(path) != expected:
            raise BundleError(
                f"{path} is not the file that bundle {manifest.id} was made with; {RESTORE}"
            )


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write a manifest as JSON, readable by `read_manifest`."""
    content = {"format": FORMAT, **asdict(manifest)}
    (directory / MANIFEST).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
