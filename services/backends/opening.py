"""What runs a tier: the backend for its device and precision, or the fastest of those there are."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offramp.bundle import Manifest, TierSpec, read_manifest, verify_tier
from offramp.bundle.manifest import RESTORE
from offramp.errors import BundleError
from services.backends.base import Backend
from services.backends.choice import fastest
from services.backends.exported import FORM
from services.backends.openvino_backend import OpenVinoBackend
from services.backends.tokenizing import TextEncoder
from services.models.files import EXPORTED, TOKENIZER, WEIGHTS

if TYPE_CHECKING:
    from services.models.loading import TierModel


AUTO, TORCH, OPENVINO = "auto", "torch", "openvino"


@dataclass(frozen=True, slots=True)
class OpenTier:
    """A tier of a bundle, and what runs it."""

    manifest: Manifest
    spec: TierSpec
    backend: Backend[Any]


def open_tier(
    bundle: Path,
    tier: str,
    precision: str,
    *,
    wanted: str = AUTO,
    device: str = "cpu",
    threads: int = 0,
) -> OpenTier:
    """A tier of a bundle, ready to run.

    wanted: torch, openvino, or auto: the faster of both, each where it can run the tier; PyTorch is
        not loaded where it is not asked for or not installed.
    Raises BundleError, with a remedy, where nothing can.
    """
    manifest = read_manifest(bundle)
    spec = manifest.tier(tier)
    spec.readouts_in(precision)  # what lacks them cannot serve, whatever runs it
    verify_tier(bundle, manifest, tier)
    folder = bundle / tier
    found: list[Backend[Any]] = []
    if _openvino_can(manifest, spec, precision, device, wanted):
        found.append(exported_backend(folder, spec, precision, threads=threads))
    if _torch_can(precision, wanted, alone=not found):
        found.append(_torch_backend(bundle, tier, precision, device, threads))
    return OpenTier(manifest, spec, fastest(found))


def backend_of(tier: TierModel, precision: str) -> Backend[Any]:
    """The plain reference of a precision: PyTorch for fp32 and bf16, OpenVINO for int8.

    Raises BundleError where the tier's int8 stages are wanted and missing.
    """
    from services.backends.torch_backend import TorchBackend

    encoder = TextEncoder.of(tier.tokenizer, tier.spec.max_tokens)
    if precision == "int8":
        stages, weights = tier.network.stages, tier.folder / WEIGHTS
        return OpenVinoBackend(
            tier.quantised, stages, encoder, precision=precision, weights=weights
        )
    return TorchBackend(tier.network, encoder, precision=precision)


def exported_backend(
    folder: Path, spec: TierSpec, precision: str, threads: int = 0
) -> OpenVinoBackend:
    """OpenVINO on the stages in a tier's folder. Raises BundleError where they are missing."""
    stages = folder / EXPORTED[precision]
    try:
        encoder = TextEncoder.read(folder / TOKENIZER, stages / FORM, spec.max_tokens)
    except (OSError, ValueError) as error:
        raise BundleError(f"{stages} cannot be read ({error}); {RESTORE}") from None
    return OpenVinoBackend(
        stages,
        len(spec.exits),
        encoder,
        precision=precision,
        weights=folder / WEIGHTS,
        threads=threads,
    )


def _openvino_can(
    manifest: Manifest, spec: TierSpec, precision: str, device: str, wanted: str
) -> bool:
    """Whether OpenVINO is to be tried. Raises BundleError where it must be, and cannot."""
    listed = precision in EXPORTED and any(
        name.startswith(f"{spec.name}/{EXPORTED[precision]}/") for name in manifest.files
    )
    only = wanted == OPENVINO or precision == "int8"
    if only and not listed:
        verb = "calibrate BUNDLE DATA --precision int8" if precision == "int8" else "export BUNDLE"
        raise BundleError(
            f"tier {spec.name!r} has no stages for OpenVINO in {precision}; make them with "
            f"`offramp {verb}`"
        )
    return listed and device == "cpu" and wanted != TORCH


def _torch_can(precision: str, wanted: str, *, alone: bool) -> bool:
    """Whether PyTorch is to be tried. Raises BundleError where it must be, and is not installed."""
    if wanted == OPENVINO or precision == "int8":
        return False
    installed = importlib.util.find_spec("torch") is not None
    if alone and not installed:
        raise BundleError(
            "PyTorch, which would run this tier, is not installed here: install offramp[models], "
            "or make stages that need none with `offramp export BUNDLE`"
        )
    return installed


def _torch_backend(
    bundle: Path, tier: str, precision: str, device: str, threads: int
) -> Backend[Any]:
    from services.backends.torch_backend import TorchBackend
    from services.models.loading import load_tier

    model = load_tier(bundle, tier)
    encoder = TextEncoder.of(model.tokenizer, model.spec.max_tokens)
    return TorchBackend(model.network, encoder, device=device, threads=threads, precision=precision)
