"""Where training computes, and in which arithmetic."""

from __future__ import annotations

import contextlib
import os

import torch

from offramp.errors import OfframpError

CHOICES = ("auto", "cpu", "cuda")


class DeviceError(OfframpError):
    """A device that was asked for and is not there."""


def resolve(name: str) -> torch.device:
    """The device of that name; `auto` is the GPU where there is one. Raises DeviceError."""
    if name not in CHOICES:
        raise DeviceError(f"device {name!r} is not known; choose one of: {', '.join(CHOICES)}")
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise DeviceError("no CUDA device is found by this build of torch; use --device cpu")
    return torch.device("cuda" if found and name != "cpu" else "cpu")


def reproduce(device: torch.device) -> None:
    """Have the same command give the same weights on this device, as far as torch can."""
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)


def autocast(
    bf16: bool | None, device: torch.device | None = None
) -> contextlib.AbstractContextManager[object]:
    """bf16 arithmetic where asked for; None: where this device is quicker with it."""
    kind = "cpu" if device is None else device.type
    wanted = bf16_is_native(kind) if bf16 is None else bf16
    return torch.autocast(kind, torch.bfloat16, enabled=wanted)


def bf16_is_native(kind: str = "cpu") -> bool:
    """Whether the processor (`cpu`) or the GPU (`cuda`) multiplies bf16 matrices in hardware."""
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
