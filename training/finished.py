"""The large tier of a finished bundle, taken as it is: only a small tier is trained for it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from offramp.bundle import Manifest, TierSpec, read_manifest, verify_tier
from offramp.errors import OfframpError
from services.models.files import WEIGHTS
from services.models.loading import load_tier
from services.models.multi_exit import MultiExitClassifier
from training.data import LabelledTexts
from training.settings import LargeSettings

OPTION = "--large-tier"
KINDS = {True: "pairs of texts", False: "single texts"}


class FinishedError(OfframpError):
    """A large tier that a small one cannot be trained for, as it was asked."""


def check(settings: LargeSettings) -> None:
    """Raise FinishedError where it is also said how a large tier should be trained.

    BundleError where there is no bundle to take one from.
    """
    if settings.bundle is None:
        return
    if replace(settings, bundle=None) != LargeSettings():
        raise FinishedError(
            f"{OPTION} {settings.bundle}: its large tier is taken as it is; leave out the options "
            "on how one is trained, or this one"
        )
    read_manifest(settings.bundle)


def check_task(settings: LargeSettings, data: LabelledTexts) -> None:
    """Raise FinishedError where a large tier that is taken does another task than that of the data.

    Pairs for single texts, or the other way round; other labels.
    """
    if settings.bundle is None:
        return
    manifest = read_manifest(settings.bundle)
    if manifest.pairs != data.pairs:
        raise FinishedError(
            f"{settings.bundle} is for {KINDS[manifest.pairs]}, the data holds {KINDS[data.pairs]};"
            " name the columns with --text-column and --pair-column, or take another large tier"
        )
    if tuple(manifest.labels) != tuple(data.label_names):
        raise FinishedError(
            f"{settings.bundle} answers with the labels {list(manifest.labels)}, the data has "
            f"{list(data.label_names)}; give the labels of the data the same names with --rename"
        )


def load(bundle: Path) -> tuple[MultiExitClassifier, PreTrainedTokenizerBase]:
    """The network, in eval mode, and its tokenizer.

    Raises FinishedError where it has one exit only, BundleError as `load_tier`.
    """
    tier = load_tier(bundle, _last(read_manifest(bundle)).name)
    if not isinstance(tier.network, MultiExitClassifier):
        raise FinishedError(f"the last tier of {bundle} has one exit only; train one with exits")
    return tier.network, tier.tokenizer


def copy_weights(bundle: Path, folder: Path) -> None:
    """Put the weights of the last tier of a bundle, to the bit, into the folder of another tier.

    Written anew they would be rounded again. Raises BundleError where they are not what the bundle
    was made with.
    """
    manifest = read_manifest(bundle)
    tier = _last(manifest).name
    verify_tier(bundle, manifest, tier)
    shutil.copyfile(bundle / tier / WEIGHTS, folder / WEIGHTS)


def max_tokens(settings: LargeSettings) -> int:
    """Where the large tier that is taken cuts texts; 0 where none is."""
    if settings.bundle is None:
        return 0
    return _last(read_manifest(settings.bundle)).max_tokens


def _last(manifest: Manifest) -> TierSpec:
    return manifest.tiers[-1]
