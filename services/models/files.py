"""What the folder of a tier holds, and its weights as arrays; read without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

Arrays: TypeAlias = dict[str, NDArray[Any]]

WEIGHTS = "weights.safetensors"
NETWORK = "network.json"
TOKENIZER = "tokenizer.json"
# Stages for OpenVINO, by the precision that they compute in: fp32 graphs run in bf16 as they are.
EXPORTED = {"fp32": "openvino", "bf16": "openvino", "int8": "openvino-int8"}
# A matrix of 8-bit integers has its scales, one per row, beside it under its name and this.
SCALE = "::scale"
# The integers themselves go by the name of what they stand for, and this.
INTEGERS = "::int8"


def read_weights(path: Path) -> Arrays:
    """All tensors of a weights file by name, numbers in fp32."""
    stored: Arrays = load_file(path)
    found: Arrays = {}
    for name, array in stored.items():
        if name.endswith(SCALE):
            continue
        scale = stored.get(name + SCALE)
        if scale is not None:
            found[name] = array.astype(np.float32) * scale.reshape(-1, *[1] * (array.ndim - 1))
        else:
            is_number = np.issubdtype(array.dtype, np.floating)
            found[name] = array.astype(np.float32 if is_number else array.dtype)
    return found


def read_integers(path: Path) -> Arrays:
    """The 8-bit integers of a weights file without their scales, each under its name + INTEGERS."""
    stored: Arrays = load_file(path)
    return {name + INTEGERS: stored[name] for name in stored if name + SCALE in stored}
