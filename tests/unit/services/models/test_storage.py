"""Weights on disk: what comes back, and how near it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from services.models.storage import load_weights, save_weights


def make() -> nn.Module:
    return nn.Sequential(nn.Embedding(100, 64), nn.Linear(64, 128), nn.LayerNorm(128))


@pytest.mark.parametrize(("precision", "steps"), [("fp32", 0.0), ("fp16", 1e-3), ("int8", 0.5)])
def test_every_number_comes_back_within_its_step(
    tmp_path: Path, precision: str, steps: float
) -> None:
    torch.manual_seed(0)
    saved, loaded = make(), make()
    save_weights(saved, tmp_path / "w.safetensors", precision)
    load_weights(loaded, tmp_path / "w.safetensors")
    for name, tensor in saved.state_dict().items():
        back = loaded.state_dict()[name]
        step = tensor.abs().amax(dim=-1, keepdim=True) / 127 if precision == "int8" else 1.0
        assert back.dtype == torch.float32
        assert ((back - tensor).abs() <= steps * step + 1e-3 * (precision != "fp32")).all()


def test_int8_takes_a_quarter_of_the_room(tmp_path: Path) -> None:
    network = nn.Embedding(1000, 128)
    for precision in ("fp32", "int8"):
        save_weights(network, tmp_path / precision, precision)
    full, small = ((tmp_path / p).stat().st_size for p in ("fp32", "int8"))
    assert small < 0.27 * full


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_weights(nn.Linear(4, 4), tmp_path / "w", "fp32")
    with pytest.raises(ValueError, match="does not fit the network"):
        load_weights(nn.Linear(4, 5), tmp_path / "w")


def test_an_unknown_precision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="precision must be one of int8, fp16, fp32"):
        save_weights(nn.Linear(4, 4), tmp_path / "w", "int4")


def test_weights_are_readable_as_all_files_are(tmp_path):
    """Containers serve a bundle as another user than the one that trained it."""
    save_weights(nn.Linear(4, 4), tmp_path / "w", "fp32")
    (tmp_path / "other").write_bytes(b"")
    assert (tmp_path / "w").stat().st_mode == (tmp_path / "other").stat().st_mode
