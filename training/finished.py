"""The large tier of a finished bundle, taken as it is: only a small tier is trained for it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from offramp.bundle import Manifest, TierSpec, read_manifest, verify_tier
from offramp.errors import OfframpError
from services.models.files import WEIGHTS
from services.models.loading import load_tier
from services.models.multi_exit import MultiExitClassifier
from training.settings import LargeSettings

OPTION = "--large-tier"


class FinishedError(OfframpError):
    """A large tier that a small one cannot be trained for, as it was asked."""


def check(settings: LargeSettings) -> None:
    """Raise FinishedError where it is also said how a large tier should be trained."""
    if settings.bundle is not None and replace(settings, bundle=None) != LargeSettings():
        raise FinishedError(
            f"{OPTION} {settings.bundle}: its large tier is taken as it is; leave out the options "
            "on how one is trained, or this one"
        )


def load(
    bundle: Path, labels: Sequence[str]
) -> tuple[MultiExitClassifier, PreTrainedTokenizerBase]:
    """The network, in eval mode, and its tokenizer.

    Raises FinishedError where it does not answer with these labels, BundleError as `load_tier`.
    """
    tier = load_tier(bundle, _last(read_manifest(bundle)).name)
    if tuple(tier.manifest.labels) != tuple(labels):
        raise FinishedError(
            f"{bundle} answers with the labels {list(tier.manifest.labels)}, the data has "
            f"{list(labels)}; give the labels of the data the same names with --rename"
        )
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
