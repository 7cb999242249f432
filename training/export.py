"""Stages for OpenVINO added to a bundle: what serves it on a CPU without PyTorch."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from offramp.bundle import (
    EVIDENCE,
    MANIFEST,
    Manifest,
    content_id,
    read_manifest,
    retie_evidence,
    tier_files,
    write_manifest,
)
from offramp.errors import BundleError, OfframpError
from services.backends.tokenizing import TextEncoder
from services.models.files import EXPORTED
from services.models.loading import TierModel, load_tier
from training import card, progress
from training.openvino_export import export_fp32
from training.workplace import make_readable, workplace

STAGES = EXPORTED["fp32"]


class ExportError(OfframpError):
    """A bundle that has nothing, or nothing more, to export."""


def run(bundle: Path, *, again: bool = False) -> Manifest:
    """Export the tiers that are not exported yet; the bundle gets a new id, its evidence too.

    again: export the others anew as well.

    Raises BundleError, and ExportError where there is nothing to do or no tier can be exported; the
    bundle stays as it is then.
    """
    manifest = read_manifest(bundle)
    missing = [s.name for s in manifest.tiers if again or not _listed(manifest, s.name)]
    if not missing:
        raise ExportError(
            f"{bundle} has its stages for OpenVINO already: nothing was changed; --again makes "
            "them anew"
        )
    with workplace(bundle / ".exporting") as unfinished:
        made = add([load_tier(bundle, name) for name in missing], unfinished)
        if not made:
            raise ExportError(f"no tier of {bundle} can be exported: nothing was changed")
        files = {**manifest.files, **tier_files(unfinished, manifest.tiers)}
        new = replace(manifest, files=files, id=content_id(files, manifest.tiers))
        retie_evidence(bundle, manifest, unfinished, new)
        write_manifest(unfinished, new)
        make_readable(unfinished)
        for name in made:
            # A run that was killed here may have left its own, which no manifest lists.
            shutil.rmtree(bundle / name / STAGES, ignore_errors=True)
            (unfinished / name / STAGES).replace(bundle / name / STAGES)
        for name in (EVIDENCE, MANIFEST):
            (unfinished / name).replace(bundle / name)
    card.render(bundle, new)
    return new


def add(tiers: Sequence[TierModel], directory: Path) -> list[str]:
    """Export tiers to <directory>/<tier>; names of those that were, the others are told of."""
    made = []
    for tier in tiers:
        encoder = TextEncoder.of(tier.tokenizer, tier.spec.max_tokens)
        title = f"{tier.spec.name} tier for OpenVINO: stages"
        try:
            with progress.step(title, tier.network.stages) as bar:
                export_fp32(tier.network, encoder, directory / tier.spec.name / STAGES, bar.advance)
        except BundleError as error:
            progress.say(f"{tier.spec.name} tier: {error}")
        else:
            made.append(tier.spec.name)
    return made


def _listed(manifest: Manifest, tier: str) -> bool:
    return any(name.startswith(f"{tier}/{STAGES}/") for name in manifest.files)
