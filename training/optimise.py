"""The optimiser and schedule that both tiers are trained with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import torch
from torch import Tensor, nn

CLIP = 1.0


class Optimiser:
    """AdamW with linear warm-up, linear decay, and clipped gradients."""

    def __init__(self, groups: Iterable[dict[str, object]], steps: int, warmup: float) -> None:
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


def autocast(bf16: bool | None) -> contextlib.AbstractContextManager[object]:
    """bf16 arithmetic where asked for; None: where this processor is quicker with it."""
    wanted = bf16_is_native() if bf16 is None else bf16
    return torch.autocast("cpu", torch.bfloat16, enabled=wanted)


def bf16_is_native() -> bool:
    """Whether this processor multiplies bf16 matrices in hardware."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
