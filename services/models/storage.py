"""Weights on disk: safetensors, matrices as 8-bit integers with a scale per row, the rest in fp16.

A row here is an output channel or a token. Evidence and temperatures are taken from the model as it
is read back, so what they promise is what is served.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from services.models.files import SCALE, read_weights

PRECISIONS = ("int8", "fp16", "fp32")
# Below this many numbers a matrix is not worth rounding.
LEAST_FOR_INT8 = 4096


def save_weights(module: nn.Module, path: Path, precision: str = "int8") -> None:
    """Write a module's state; `precision` is one of PRECISIONS."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    stored: dict[str, Tensor] = {}
    for name, tensor in module.state_dict().items():
        value = tensor.detach().cpu()
        if not value.is_floating_point() or precision == "fp32":
            stored[name] = value.contiguous()
        elif precision == "int8" and value.ndim >= 2 and value.numel() >= LEAST_FOR_INT8:
            stored[name], stored[name + SCALE] = _quantise(value)
        else:
            stored[name] = value.half().contiguous()
    # `save_file` would keep the file from everyone but its owner; services may run as another user.
    path.write_bytes(save(stored, metadata={"precision": precision}))


def load_weights(module: nn.Module, path: Path) -> None:
    """Read a module's state back into fp32. Raises ValueError where names or shapes differ."""
    state = {name: torch.from_numpy(array) for name, array in read_weights(path).items()}
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{path} does not fit the network: {error}") from None


def _quantise(value: Tensor) -> tuple[Tensor, Tensor]:
    largest = value.float().flatten(1).abs().amax(dim=1).clamp_min(1e-12)
    scale = largest / 127.0
    rounded = torch.round(value.float() / scale.view(-1, *[1] * (value.ndim - 1)))
    return rounded.to(torch.int8).contiguous(), scale
