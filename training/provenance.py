"""How a bundle was made: training.json, from which its model card is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from offramp.bundle import Manifest, read_manifest
from offramp.errors import BundleError
from training import backbone
from training.choose import Choice
from training.data import source_name
from training.settings import LargeSettings, TrainSettings

TRAINING = "training.json"


@dataclass(frozen=True, slots=True)
class Run:
    """Texts trained on and held out, a fingerprint of the latter, and the seconds it took."""

    training: int
    held_out: int
    held_out_id: str
    seconds: float


def write(directory: Path, settings: TrainSettings, run: Run, choice: Choice | None = None) -> None:
    """Write training.json.

    choice: what the small tier was chosen from, where it was.
    """
    classifier = settings.small.classifier
    large = origin(settings.large)
    record = {
        "data": source_name(settings.data),
        "data_note": settings.data_note,
        "rename": dict(settings.rename),
        "validation": settings.validation and source_name(settings.validation),
        "unlabelled": settings.unlabelled and source_name(settings.unlabelled),
        "balance": settings.balance,
        "max_tokens": settings.max_tokens,
        "training_texts": run.training,
        "held_out_texts": run.held_out,
        "held_out_id": run.held_out_id,
        "backbone": large["backbone"],
        "backbone_licence": large["licence"],
        "large_tier": large["taken"],
        "seconds": round(run.seconds),
        "seed": settings.seed,
        "precision": settings.precision,
        "large": large["settings"],
        "small": {**asdict(settings.small), "classifier": classifier and source_name(classifier)},
        "small_selection": None if choice is None else choice.as_dict(),
    }
    _store(directory, record)


def read(directory: Path) -> dict[str, Any]:
    """What training.json says. Raises BundleError where it cannot be read."""
    path = directory / TRAINING
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(
            f"{path} cannot be read ({error}); restore the bundle from where it came, or train anew"
        ) from None
    return record


def note(directory: Path, **more: Any) -> None:
    """Enter more into training.json. Raises BundleError as `read`."""
    _store(directory, read(directory) | more)


def origin(settings: LargeSettings) -> dict[str, Any]:
    """What the large tier was made from; of one that is taken, what its own record says.

    Raises BundleError where that record cannot be read, or says too little.
    """
    if settings.bundle is not None:
        try:
            return _taken_from(read(settings.bundle), read_manifest(settings.bundle))
        except KeyError as error:
            raise BundleError(
                f"{settings.bundle / TRAINING} lacks {error}; restore the bundle from where it "
                "came, or train anew"
            ) from None
    name = source_name(settings.backbone)
    return {
        "backbone": name,
        "licence": backbone.licence(settings.backbone),
        "settings": {**asdict(settings), "backbone": name},
        "taken": None,
    }


def _taken_from(known: Mapping[str, Any], source: Manifest) -> dict[str, Any]:
    """held_out_id: of the texts that the large tier is known not to have seen."""
    # Taken more than once, it is still as the run that trained it stored it, and what it never saw
    # is what that run held out.
    trained = known.get("large_tier") or {}
    return {
        "backbone": known["backbone"],
        "licence": known["backbone_licence"],
        "settings": known["large"],
        "taken": {
            "name": source.name,
            "id": source.id,
            "made": source.created,
            "precision": trained.get("precision", known["precision"]),
            "held_out_id": (trained or known).get("held_out_id"),
        },
    }


def _store(directory: Path, record: Mapping[str, Any]) -> None:
    (directory / TRAINING).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
