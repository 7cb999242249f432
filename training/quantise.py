"""int8 for a finished bundle: the stages of its tiers quantised, and whether they are good enough.

Ranges of activations come from texts that choose and certify nothing, without their labels.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from offramp.decision.evidence import Evidence
from offramp.errors import OfframpError
from services.backends.tokenizing import TextEncoder
from services.models.files import EXPORTED, WEIGHTS, read_integers
from services.models.loading import TierModel
from training import progress
from training.data import LabelledTexts, Text
from training.openvino_export import export_int8

INT8_FOLDER = EXPORTED["int8"]
# Accuracy that an exit may lose to int8, as a share, give or take a standard error.
LARGEST_LOSS = 0.01
# Texts that ranges of activations are taken from.
EXAMPLES = 300


class QuantisationError(OfframpError):
    """A tier that loses too much in int8; `loss` says how much."""

    def __init__(self, tier: str, loss: str) -> None:
        super().__init__(f"{loss}: nothing was changed; serve this bundle in fp32 or bf16")
        self.tier = tier
        self.loss = loss


def quantised(
    tier: TierModel, texts: LabelledTexts, folder: Path, *, smooth: bool = False
) -> TierModel:
    """A tier with its stages in int8: those of the bundle, or new ones in folder/<tier>.

    smooth: new ones with SmoothQuant.  Raises BundleError for a network that cannot run in int8.
    """
    if listed(tier):
        return tier
    target = folder / tier.spec.name / INT8_FOLDER
    shutil.rmtree(target, ignore_errors=True)
    encoder = TextEncoder.of(tier.tokenizer, tier.spec.max_tokens)
    examples = encoder.encode([(text.text, text.pair) for text in _spread(texts.texts)])
    title = f"{tier.spec.name} tier to int8{', with SmoothQuant' if smooth else ''}: stages"
    with progress.step(title, tier.network.stages) as bar:
        export_int8(
            tier.network,
            encoder,
            target,
            examples,
            integers=read_integers(tier.folder / WEIGHTS),
            smooth=smooth,
            advance=bar.advance,
        )
    return replace(tier, quantised=target)


def listed(tier: TierModel) -> bool:
    """Whether the bundle has int8 stages; what a killed run left is not in its manifest."""
    return any(name.startswith(f"{tier.spec.name}/{INT8_FOLDER}/") for name in tier.manifest.files)


def _spread(texts: Sequence[Text]) -> list[Text]:
    """EXAMPLES of the texts at even distances: a file may be sorted by label."""
    places = np.linspace(0, len(texts) - 1, min(EXAMPLES, len(texts)))
    return [texts[place] for place in places.astype(int)]


def check(exact: Evidence, rounded: Evidence) -> None:
    """Raise QuantisationError where an exit is less accurate in int8 by more than LARGEST_LOSS.

    Of the same examples in fp32 and in int8; differences within a standard error do not count.
    """
    lost = exact.correct().astype(np.float64) - rounded.correct()
    loss, error = lost.mean(axis=1), lost.std(axis=1) / np.sqrt(lost.shape[1])
    worst = int(np.argmax(loss - error))
    if loss[worst] - error[worst] > LARGEST_LOSS:
        exit_cost = exact.exits[worst]
        raise QuantisationError(
            exit_cost.tier,
            f"in int8 exit {exit_cost.name} loses {100 * loss[worst]:.1f} points of accuracy (±"
            f"{100 * error[worst]:.1f}) on {lost.shape[1]} texts, more than "
            f"{100 * LARGEST_LOSS:g}",
        )
