"""A network in training: its weights, optimiser, running mean and random numbers, as one state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from training.optimise import Optimiser

# The mean takes in the weights every so many steps: as good as every step, and cheaper.
AVERAGE_EVERY = 4
# A mean of fewer steps than this knows too little to teach.
LEAST_STEPS_TO_TEACH = 800


class TrainingState:
    """Changes with every step; what `capture` gives, `restore` goes on from bit by bit.

    average: decay of the running mean of the weights; None for no mean.
    rng: the generator that the training draws from, beside torch's own.
    done: steps so far.
    """

    def __init__(
        self,
        module: nn.Module,
        optimiser: Optimiser,
        average: float | None,
        rng: np.random.Generator,
    ) -> None:
        self.done = 0
        self._module = module
        self._optimiser: Optimiser | None = optimiser
        self._mean = (
            None if average is None else AveragedModel(module, avg_fn=_running_mean(average))
        )
        if self._mean is not None:
            self._mean.module.eval()
        self._rng = rng

    @property
    def teacher(self) -> nn.Module | None:
        """The network with the running mean of the weights, in eval mode; None while it is young,
        or where no mean is kept.
        """
        young = self.done < LEAST_STEPS_TO_TEACH
        return None if self._mean is None or young else self._mean.module

    def update(self, loss: Tensor) -> None:
        """One step from a loss."""
        if self._optimiser is None:
            raise RuntimeError("the training has ended: there is nothing left to update")
        self._optimiser.step(loss)
        if self._mean is not None and self.done % AVERAGE_EVERY == 0:
            self._mean.update_parameters(self._module)
        self.done += 1

    def finish(self) -> None:
        """Let the running mean be the network's weights, and drop what only training needs."""
        if self._mean is not None:
            self._module.load_state_dict(self._mean.module.state_dict())
        self._mean = self._optimiser = None

    def capture(self) -> dict[str, Any]:
        """All of it, to be kept. What it holds is the state itself, no copy: write it at once."""
        return {
            "done": self.done,
            "module": self._module.state_dict(),
            "mean": None if self._mean is None else self._mean.state_dict(),
            "optimiser": None if self._optimiser is None else self._optimiser.state_dict(),
            "numpy": self._rng.bit_generator.state,
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all(),
        }

    def restore(self, kept: dict[str, Any]) -> None:
        """Go on from what `capture` gave."""
        self.done = kept["done"]
        self._module.load_state_dict(kept["module"])
        if self._mean is not None and kept["mean"] is not None:
            self._mean.load_state_dict(kept["mean"])
        if self._optimiser is not None and kept["optimiser"] is not None:
            self._optimiser.load_state_dict(kept["optimiser"])
        self._rng.bit_generator.state = kept["numpy"]
        torch.set_rng_state(kept["torch"])
        if torch.cuda.is_available():
            torch.cuda.set_rng_state_all(kept["cuda"])


def _running_mean(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """An exponential mean that forgets faster at first, so that a short run is not its start."""

    def update(mean: Tensor, latest: Tensor, count: Tensor | int) -> Tensor:
        kept = min(decay, (1 + int(count)) / (10 + int(count)))
        return torch.lerp(latest, mean, kept)

    return update
