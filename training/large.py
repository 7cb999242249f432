"""Fine-tuning of the multi-exit model, by the recipe that is asked for.

Common to all recipes: words are hidden at random, and a running mean of the weights is kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from services.models.multi_exit import MultiExitClassifier, MultiExitConfig, encoder_layers
from services.models.staged import StagedNetwork
from training import backbone, lengths, parameters, progress
from training.augment import WordMask
from training.batches import Batch, Encoded, encode, in_order
from training.data import LabelledTexts, Text
from training.device import autocast
from training.loop import Plan, fit
from training.recipes import RecipeError, recipe
from training.recipes.phase import Phase
from training.settings import LargeSettings, TrainSettings

SCORE_BATCH = 64
AUTO = "auto"
EVERY_LAYER = ("all", AUTO)


def build(
    settings: LargeSettings, labels: int
) -> tuple[MultiExitClassifier, PreTrainedTokenizerBase]:
    """The backbone with fresh heads on the exits asked for.

    Raises BackboneError, or RecipeError for settings that do not go together.
    """
    recipe(settings.recipe)
    if settings.exits == AUTO and isinstance(settings.keep, tuple):
        raise RecipeError("keep gives a share per exit: name the exits as well, or keep auto")
    encoder, tokenizer = backbone.load(settings.backbone, settings.dropout)
    exits = _layers(settings.exits, len(encoder_layers(encoder)))
    keep = settings.keep if isinstance(settings.keep, tuple) else None
    config = MultiExitConfig(exits, labels, dropout=settings.dropout, keep=keep)
    try:
        return MultiExitClassifier(encoder, config), tokenizer
    except ValueError as error:
        raise RecipeError(str(error)) from None


def _layers(exits: tuple[int, ...] | str | None, depth: int) -> tuple[int, ...]:
    """The layers that carry a classifier while the model is trained."""
    if exits is None:
        return backbone.default_exits(depth)
    if isinstance(exits, tuple):
        return exits
    if exits not in EVERY_LAYER:
        raise RecipeError(f"exits {exits!r}: give layers, or one of: {', '.join(EVERY_LAYER)}")
    return tuple(range(1, depth + 1))


def train(
    data: LabelledTexts, settings: TrainSettings, unlabelled: Sequence[Text] | None = None
) -> tuple[MultiExitClassifier, PreTrainedTokenizerBase]:
    """Fine-tune on all of `data`; the model comes back in eval mode.

    unlabelled: texts that the last exit may teach the others on; only `taught` reads them.
    With exits or keep "auto" the model comes back with every exit, and keeps all tokens: what to
    leave out is for `training.tailor` to choose.
    """
    options = settings.large
    network, tokenizer = build(options, len(data.label_names))
    rng = np.random.default_rng(settings.seed)
    mask = WordMask(tokenizer, options.mask_words, rng)
    for phase in recipe(options.recipe)(network, options):
        texts, aims = _lessons(data, unlabelled if phase.unlabelled else None)
        encoded = encode(tokenizer, texts, settings.max_tokens)
        network.requires_grad_(False)
        phase.trained.requires_grad_(True)
        groups = parameters.groups(network, options)
        loss = _Loss(network, phase, aims, mask, lengths.LengthDrop(options.keep, rng))
        fit(
            phase.trained,
            groups,
            encoded,
            loss,
            plan=_plan(phase, options),
            rng=rng,
            settings=settings,
        )
    if options.keep == AUTO:
        network.keep_tokens(None)
    return network.requires_grad_(True), tokenizer


class _Loss:
    """The loss of a phase on a batch, with words hidden and, where asked for, tokens dropped."""

    def __init__(
        self,
        network: MultiExitClassifier,
        phase: Phase,
        aims: Tensor,
        mask: WordMask,
        drop: lengths.LengthDrop,
    ) -> None:
        self._network, self._phase, self._aims = network, phase, aims
        self._mask, self._drop = mask, drop

    def __call__(self, batch: Batch) -> Tensor:
        self._drop.redraw(self._network)
        inputs = self._mask.hide(batch).inputs
        return self._phase.loss(self._network, inputs, batch.of(self._aims))


def _lessons(data: LabelledTexts, unlabelled: Sequence[Text] | None) -> tuple[list[Text], Tensor]:
    """All texts, and their aims (N, C): zeros for a text without a label."""
    more = list(unlabelled or ())
    none = torch.zeros(len(more), len(data.label_names))
    return [*data.texts, *more], torch.cat([torch.from_numpy(data.aims), none])


def _plan(phase: Phase, options: LargeSettings) -> Plan:
    return Plan(
        phase=phase.name,
        title=phase.title,
        epochs=options.epochs,
        batch_size=options.batch_size,
        warmup=options.warmup,
        average=options.average,
    )


@torch.inference_mode()
def score(
    network: StagedNetwork, encoded: Encoded, title: str, bf16: bool | None = False
) -> np.ndarray:
    """Logits (E, N, C) of every exit, in fp32 unless bf16 is asked for."""
    network.eval()
    device = next(network.parameters()).device
    batches = math.ceil(len(encoded) / SCORE_BATCH)
    parts, rows = [], []
    with progress.step(title, batches) as bar:
        for batch in in_order(encoded, SCORE_BATCH):
            with autocast(bf16, device):
                parts.append(network(*batch.to(device).inputs).float().cpu().numpy())
            rows.append(batch.rows)
            bar.advance()
    logits = np.concatenate(parts, axis=1)
    return logits[:, np.argsort(np.concatenate(rows))]
