"""What runs a tier: the backend for its device and precision."""

from __future__ import annotations

from typing import Any

from services.backends.base import Backend
from services.backends.openvino_backend import OpenVinoBackend
from services.backends.tokenizing import TextEncoder
from services.backends.torch_backend import TorchBackend
from services.models.loading import TierModel


def backend_of(
    tier: TierModel, precision: str, *, device: str = "cpu", threads: int = 0
) -> Backend[Any]:
    """PyTorch for fp32 and bf16; OpenVINO for int8, on the CPU whatever the device.

    Raises BundleError where the tier's int8 stages are wanted and missing.
    """
    encoder = TextEncoder(tier.tokenizer, tier.spec.max_tokens)
    if precision == "int8":
        return OpenVinoBackend(
            tier.quantised, tier.network.stages, encoder, precision=precision, threads=threads
        )
    return TorchBackend(tier.network, encoder, device=device, threads=threads, precision=precision)
