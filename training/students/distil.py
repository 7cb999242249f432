"""Distillation: a student learns the large tier's answers, and the labels where there are any.

Soft targets with a temperature (Hinton et al. 2015, arXiv 1503.02531).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from services.models.multi_exit import MultiExitClassifier
from services.models.staged import StagedNetwork
from training import parameters
from training.batches import Batch
from training.loop import Plan, fit
from training.settings import LargeSettings, SmallSettings, TrainSettings
from training.students.fresh import SHALLOW
from training.students.pool import Pool

WARMUP = 0.05


def distil(student: StagedNetwork, kind: str, pool: Pool, settings: TrainSettings) -> None:
    """Train a fresh student of a kind in place; it comes back in eval mode."""
    options = settings.small

    def loss(batch: Batch, _: nn.Module | None) -> Tensor:
        logits = student(*batch.inputs)[-1].float()
        has_label, aims = pool.own(batch)
        taught = soft_cross_entropy(logits, batch.of(pool.answers).float(), options.temperature)
        told = functional.cross_entropy(logits, aims, reduction="none")
        share = options.label_weight * has_label
        return ((1 - share) * taught + share * told).mean()

    plan = Plan(
        phase=f"small-{kind}",
        title=f"small tier, {kind}: distilling",
        epochs=epochs(kind, len(pool.encoded), options),
        batch_size=options.batch_size,
        warmup=WARMUP,
    )
    rng = np.random.default_rng(settings.seed + 2)
    groups = _groups(student, options)
    fit(student, groups, pool.encoded, loss, plan=plan, rng=rng, settings=settings)


def soft_cross_entropy(logits: Tensor, answers: Tensor, temperature: float) -> Tensor:
    """Cross-entropy (B,) of logits (B, C) with a teacher's logits (B, C), both softened.

    Times the temperature squared, which keeps the size of the gradients.
    """
    aims = torch.softmax(answers / temperature, dim=-1)
    logs = torch.log_softmax(logits / temperature, dim=-1)
    return -(aims * logs).sum(dim=-1) * temperature**2


def epochs(kind: str, texts: int, options: SmallSettings) -> int:
    """How often a student of a kind goes through a pool of so many texts."""
    wanted = options.shallow_epochs if kind == SHALLOW else options.epochs
    steps = math.ceil(texts / options.batch_size)
    return max(wanted, math.ceil(options.least_steps / steps))


def _groups(student: StagedNetwork, options: SmallSettings) -> list[dict[str, object]]:
    if isinstance(student, MultiExitClassifier):
        rate = options.shallow_learning_rate
        rates = LargeSettings(learning_rate=rate, head_learning_rate=rate)
        return parameters.groups(student, rates)
    group: dict[str, object] = {"params": list(student.parameters())}
    return [group | {"lr": options.learning_rate, "weight_decay": options.weight_decay}]
