"""The one training loop: a recipe gives the network, the data and the loss; the rest is here.

Epochs of shuffled batches, arithmetic, optimiser, a running mean of the weights, the progress bar,
and a checkpoint from which a killed run goes on to the very weights that it would have ended with.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from torch import Tensor, nn

from offramp.errors import OfframpError
from training import progress
from training.batches import Batch, Encoded, shuffled
from training.checkpoint import Checkpoint
from training.device import autocast, resolve
from training.optimise import Optimiser
from training.settings import TrainSettings
from training.state import TrainingState

SECONDS_BETWEEN_CHECKPOINTS = 180.0

Loss: TypeAlias = Callable[[Batch, nn.Module | None], Tensor]


class DivergedError(OfframpError):
    """A training whose loss is no number any more; no further step would mend it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long a network is trained, and how.

    phase: names the checkpoint; no two trainings of a run may share it.
    title: stands beside the progress bar.
    warmup: share of the steps in which the learning rate rises.
    average: decay of the running mean of the weights, which is then what is kept.
    """

    phase: str
    title: str
    epochs: int
    batch_size: int
    warmup: float = 0.06
    average: float | None = None


def fit(
    module: nn.Module,
    groups: Iterable[dict[str, Any]],
    data: Encoded,
    loss: Loss,
    *,
    plan: Plan,
    rng: np.random.Generator,
    settings: TrainSettings,
) -> None:
    """Train `module` in place; it comes back in eval mode, on the device of the settings.

    module: what is trained, checkpointed and averaged; the loss may run more than it.
    groups: parameters with their `lr` and `weight_decay`, as AdamW takes them.
    loss: of a batch on the device, computed under autocast: turn logits to fp32 before softmax. It
        is given the running mean too, as a network in eval mode, from the second epoch on, once
        the mean is of steps enough.
    rng: draws the order of the batches; the loss may draw from it too.

    A run that was killed goes on from its checkpoint; a phase that had ended is not trained again.
    """
    device = resolve(settings.device)
    module.to(device)
    per_epoch = math.ceil(len(data) / plan.batch_size)
    steps = plan.epochs * per_epoch
    orders = rng.integers(2**63, size=plan.epochs)
    state = TrainingState(module, Optimiser(groups, steps, plan.warmup), plan.average, rng)
    checkpoint = Checkpoint(settings.checkpoint)
    _go_on(state, checkpoint, plan, steps)
    if state.done == steps:
        module.eval()
        return
    module.train()
    with progress.step(plan.title, steps, state.done) as bar:
        written = time.monotonic()
        for epoch in range(state.done // per_epoch, plan.epochs):
            order = np.random.default_rng(orders[epoch])
            for batch in shuffled(data, plan.batch_size, order, skip=state.done % per_epoch):
                with autocast(settings.bf16, device):
                    found = loss(batch.to(device), state.teacher if epoch > 0 else None)
                shown = _number(found, f"{plan.title}, step {state.done + 1:,} of {steps:,}")
                state.update(found)
                bar.advance(f"epoch {epoch + 1}/{plan.epochs} loss {shown:.3f}")
                if time.monotonic() - written >= SECONDS_BETWEEN_CHECKPOINTS:
                    checkpoint.save(plan.phase, state.capture())
                    written = time.monotonic()
    state.finish()
    checkpoint.save(plan.phase, state.capture())
    module.eval()


def _number(loss: Tensor, place: str) -> float:
    """The loss as a number, if it still is one."""
    found = loss.item()
    if not math.isfinite(found):
        raise DivergedError(f"{place}: the loss is {found}; try a lower --learning-rate")
    return found


def _go_on(state: TrainingState, checkpoint: Checkpoint, plan: Plan, steps: int) -> None:
    """Take up what a killed run left of this phase, and say so."""
    kept = checkpoint.load(plan.phase)
    if kept is None:
        return
    state.restore(kept)
    place = "it had ended" if state.done == steps else f"at step {state.done:,} of {steps:,}"
    progress.say(f"{plan.title}: goes on from its checkpoint, {place}")
