"""The optimiser and schedule that every network is trained with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

CLIP = 1.0


class Optimiser:
    """AdamW with linear warm-up, linear decay, and clipped gradients."""

    def __init__(self, groups: Iterable[dict[str, Any]], steps: int, warmup: float) -> None:
        self._adam = torch.optim.AdamW(groups, fused=True)
        self._parameters = [p for group in self._adam.param_groups for p in group["params"]]
        rising = max(1.0, warmup * steps)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._adam, lambda step: min((step + 1) / rising, max(0.0, 1 - step / steps))
        )

    def step(self, loss: Tensor) -> None:
        """One update from a loss."""
        self._adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, CLIP)
        self._adam.step()
        self._schedule.step()

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on."""
        return {"adam": self._adam.state_dict(), "schedule": self._schedule.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self._adam.load_state_dict(state["adam"])
        self._schedule.load_state_dict(state["schedule"])
