"""The last step of training: models become a bundle, calibrated as stored, and appear whole."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from offramp.bundle import (
    DEFAULT_PRECISION,
    ExitSpec,
    Manifest,
    TierSpec,
    content_id,
    tier_files,
    write_manifest,
)
from offramp.errors import BundleError
from services.models.files import EXPORTED
from services.models.flops import exit_flops
from services.models.loading import TierModel, load_tier, save_tier
from services.models.multi_exit import MultiExitClassifier
from services.models.staged import StagedNetwork
from training import calibrate, card, export, finished, identity, precisions, provenance, target
from training.calibrate import Calibrated
from training.choose import Choice
from training.data import LabelledTexts
from training.precisions import INT8
from training.progress import say
from training.quantise import QuantisationError
from training.settings import TrainSettings
from training.workplace import make_readable, workplace

SMALL, LARGE = "small", "large"


@dataclass(frozen=True, slots=True)
class Parts:
    """The texts that models are fitted on, and those that they never see."""

    fit: LabelledTexts
    held_out: LabelledTexts


@dataclass(frozen=True, slots=True)
class Tier:
    """A network and its tokenizer."""

    network: StagedNetwork
    tokenizer: PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Models:
    """What was trained, tier by tier, in the order of the cascade.

    choice: what the small tier was chosen from, where it was.
    """

    small: Tier
    large: Tier
    choice: Choice | None = None


def write(settings: TrainSettings, parts: Parts, models: Models, seconds: float) -> Path:
    """Write into a folder beside the target and move it there whole; return the target.

    Raises OutputError where something has come to stand there since the run began.
    """
    with workplace(settings.out.with_name(f".{settings.out.name}.unfinished")) as unfinished:
        specs = [
            _save(unfinished, SMALL, models.small, settings),
            _save(unfinished, LARGE, models.large, settings),
        ]
        manifest = _calibrated(unfinished, specs, parts.held_out, settings)
        held_out = parts.held_out
        kept = identity.labelled(held_out)
        run = provenance.Run(len(parts.fit), len(held_out), kept, seconds)
        provenance.write(unfinished, settings, run, models.choice)
        card.render(unfinished, manifest)
        make_readable(unfinished)
        target.check_free(settings.out)
        unfinished.rename(settings.out)
    say(f"bundle {manifest.id} is in {settings.out}")
    return settings.out


def _save(directory: Path, name: str, tier: Tier, settings: TrainSettings) -> TierSpec:
    network = tier.network
    kind = save_tier(directory / name, network, tier.tokenizer, settings.precision)
    if name == LARGE and settings.large.bundle is not None:
        finished.copy_weights(settings.large.bundle, directory / name)
    names = [name]
    if isinstance(network, MultiExitClassifier) and name != SMALL:
        names = [f"{name}@{layer}" for layer in network.config.exits]
    curves = exit_flops(network)
    exits = tuple(ExitSpec(n, c) for n, c in zip(names, curves, strict=True))
    return TierSpec(name, kind, exits, settings.max_tokens, readouts={})


def _calibrated(
    directory: Path, specs: list[TierSpec], held_out: LabelledTexts, settings: TrainSettings
) -> Manifest:
    """Fit readouts and take evidence with the models as they were stored."""
    files = tier_files(directory, specs)
    manifest = Manifest(
        name=settings.name,
        id=content_id(files, specs),
        labels=held_out.label_names,
        pairs=held_out.pairs,
        tiers=tuple(specs),
        files=files,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_manifest(directory, manifest)
    tiers = [load_tier(directory, spec.name) for spec in specs]
    if settings.export:
        export.add(tiers, directory)
        manifest = replace(manifest, files=tier_files(directory, specs))
        tiers = [replace(tier, manifest=manifest) for tier in tiers]
    found = _taken(directory, tiers, held_out, settings)
    return calibrate.enter(directory, replace(manifest, files=tier_files(directory, specs)), found)


def _taken(
    directory: Path, tiers: list[TierModel], held_out: LabelledTexts, settings: TrainSettings
) -> Calibrated:
    """Readouts and evidence; not in int8 where that does not work: what was trained is kept."""
    wanted = {DEFAULT_PRECISION, *settings.serve_in}

    def taken(wanted: set[str]) -> Calibrated:
        share, seed = settings.readout_share, settings.seed
        _, found = precisions.calibrated(
            tiers, held_out, wanted, directory, readout_share=share, seed=seed
        )
        return found

    try:
        return taken(wanted)
    except (BundleError, QuantisationError) as error:
        if INT8 not in wanted:
            raise
        say(f"not in int8: {error}")
        for tier in tiers:
            shutil.rmtree(directory / tier.spec.name / EXPORTED[INT8], ignore_errors=True)
        return taken(wanted - {INT8})
