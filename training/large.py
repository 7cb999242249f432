"""Fine-tuning of the multi-exit model, by the recipe that is asked for.

Common to all recipes: words are hidden at random, and a running mean of the weights is kept, whose
answers teach beside the labels from the second epoch on (*Mean teachers*, arXiv 1703.01780), so
that a label read for the second time is not learned by heart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from services.models.families import family_of
from services.models.multi_exit import MultiExitClassifier, MultiExitConfig
from services.models.staged import StagedNetwork
from training import backbone, finished, lengths, parameters, progress
from training.augment import WordMask
from training.batches import Batch, Encoded, encode, in_order
from training.data import LabelledTexts, Text
from training.device import autocast, resolve
from training.fragments import whole
from training.loop import Plan, fit
from training.recipes import RecipeError, recipe
from training.recipes.phase import Phase
from training.recipes.taught import answers, taught_aims
from training.settings import LargeSettings, TrainSettings

SCORE_BATCH = 64
AUTO = "auto"
EVERY_LAYER = ("all", AUTO)


def build(
    settings: LargeSettings, labels: Sequence[str]
) -> tuple[MultiExitClassifier, PreTrainedTokenizerBase]:
    """The backbone with fresh heads on the exits asked for, or what a finished bundle has.

    labels: their names.  Raises BackboneError, RecipeError for settings that do not go together,
    or what `finished.load` raises.
    """
    if settings.bundle is not None:
        return finished.load(settings.bundle)
    recipe(settings.recipe)
    if settings.exits == AUTO and isinstance(settings.keep, tuple):
        raise RecipeError("keep gives a share per exit: name the exits as well, or keep auto")
    encoder, tokenizer = backbone.load(settings.backbone, settings.dropout)
    family = family_of(encoder.config)
    if settings.keep == AUTO and family.attends is None:
        raise RecipeError(
            "keep auto: this backbone sees where tokens stand: it must keep all of them"
        )
    exits = _layers(settings.exits, len(family.layers(encoder)))
    keep = settings.keep if isinstance(settings.keep, tuple) else None
    config = MultiExitConfig(exits, len(labels), dropout=settings.dropout, keep=keep)
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
    """Fine-tune on all of `data`, unless a finished one is taken.

    It comes back in eval mode, on the device of the settings.

    unlabelled: texts that the last exit may teach the others on; only `taught` reads them.
    With exits or keep "auto" the model comes back with every exit, and keeps all tokens: what to
    leave out is for `training.tailor` to choose.
    """
    options = settings.large
    network, tokenizer = build(options, data.label_names)
    if options.bundle is not None:
        return network.to(resolve(settings.device)), tokenizer
    rng = np.random.default_rng(settings.seed)
    # What pairs have in common is what is learned from them: with words hidden it is not there.
    mask = WordMask(tokenizer, 0.0 if data.pairs else options.mask_words, rng)
    for phase in recipe(options.recipe)(network, options):
        texts, aims = _lessons(data, options, unlabelled if phase.unlabelled else None)
        encoded = encode(tokenizer, texts, settings.max_tokens)
        network.requires_grad_(False)
        phase.trained.requires_grad_(True)
        groups = parameters.groups(network, options)
        drop = lengths.LengthDrop(options.keep, rng)
        # Where only heads are trained, the running mean is of heads: it cannot answer by itself.
        mean_share = options.mean_teacher if phase.trained is network else 0.0
        loss = _Loss(network, phase, aims, mask, drop, mean_share)
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


@dataclass(frozen=True, slots=True, eq=False)
class _Loss:
    """The loss of a phase on a batch, with words hidden and, where asked for, tokens dropped.

    mean_share: how much of what is learned is the running mean's answer.
    """

    network: MultiExitClassifier
    phase: Phase
    aims: Tensor
    mask: WordMask
    drop: lengths.LengthDrop
    mean_share: float

    def __call__(self, batch: Batch, mean: nn.Module | None) -> Tensor:
        aims = batch.of(self.aims)
        if mean is not None and self.mean_share:
            with torch.no_grad():
                # The texts as they are: no word hidden, no token dropped.
                aims = taught_aims(aims, answers(mean(*batch.inputs)), self.mean_share)
        self.drop.redraw(self.network)
        return self.phase.loss(self.network, self.mask.hide(batch).inputs, aims)


def _lessons(
    data: LabelledTexts, options: LargeSettings, unlabelled: Sequence[Text] | None
) -> tuple[list[Text], Tensor]:
    """All texts, and their aims (N, C) times their weights: zeros for a text without a label.

    The weights of the labelled texts are 1 on average.
    """
    more = list(unlabelled or ())
    none = torch.zeros(len(more), len(data.label_names))
    weights = np.where(whole(data.texts), options.whole_texts, 1.0).astype(np.float32)
    aims = data.aims * (weights / weights.mean())[:, None]
    return [*data.texts, *more], torch.cat([torch.from_numpy(aims), none])


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
