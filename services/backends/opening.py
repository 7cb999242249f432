"""What runs a tier: the backend for its device and precision."""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offramp.bundle import Manifest, TierSpec, read_manifest, verify_tier
from offramp.bundle.manifest import RESTORE
from offramp.errors import BundleError
from services.backends.base import Backend
from services.backends.exported import FORM
from services.backends.openvino_backend import OpenVinoBackend
from services.backends.tokenizing import TextEncoder
from services.models.files import EXPORTED, TOKENIZER, WEIGHTS

if TYPE_CHECKING:
    from services.models.loading import TierModel

log = logging.getLogger(__name__)

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

    wanted: torch, openvino, or auto: OpenVINO where the bundle has stages for it that compute here
        what they should, PyTorch otherwise. PyTorch is not loaded where it does not run the tier.
    Raises BundleError, with a remedy, where nothing can.
    """
    manifest = read_manifest(bundle)
    spec = manifest.tier(tier)
    spec.readouts_in(precision)  # what lacks them cannot serve, whatever runs it
    verify_tier(bundle, manifest, tier)
    backend: Backend[Any] | None = None
    if device == "cpu" and wanted != TORCH and _is_exported(manifest, spec, precision):
        backend = _exported(bundle / tier, spec, precision, threads, insist=wanted == OPENVINO)
    if backend is None and (wanted == OPENVINO or precision == "int8"):
        verb = "calibrate BUNDLE DATA --precision int8" if precision == "int8" else "export BUNDLE"
        raise BundleError(
            f"tier {tier!r} has no stages for OpenVINO in {precision}; make them with "
            f"`offramp {verb}`"
        )
    return OpenTier(manifest, spec, backend or _torch(bundle, tier, precision, device, threads))


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


def _is_exported(manifest: Manifest, spec: TierSpec, precision: str) -> bool:
    if precision not in EXPORTED:
        return False
    folder = f"{spec.name}/{EXPORTED[precision]}/"
    return any(name.startswith(folder) for name in manifest.files)


def _exported(
    folder: Path, spec: TierSpec, precision: str, threads: int, *, insist: bool
) -> OpenVinoBackend | None:
    """OpenVINO on the stages in a tier's folder, tried out.

    None where they do not compute what they should and PyTorch can take their place.
    """
    stages = folder / EXPORTED[precision]
    try:
        encoder = TextEncoder.read(folder / TOKENIZER, stages / FORM, spec.max_tokens)
    except (OSError, ValueError) as error:
        raise BundleError(f"{stages} cannot be read ({error}); {RESTORE}") from None
    backend = OpenVinoBackend(
        stages,
        len(spec.exits),
        encoder,
        precision=precision,
        weights=folder / WEIGHTS,
        threads=threads,
    )
    try:
        backend.prepare()
    except BundleError as error:
        if insist or precision == "int8" or not _torch_is_here():
            raise
        log.warning("tier %s: %s; PyTorch runs it", spec.name, error)
        return None
    return backend


def _torch_is_here() -> bool:
    return importlib.util.find_spec("torch") is not None


def _torch(bundle: Path, tier: str, precision: str, device: str, threads: int) -> Backend[Any]:
    if not _torch_is_here():
        raise BundleError(
            "PyTorch, which would run this tier, is not installed here: install offramp[models], "
            "or make stages that need none with `offramp export BUNDLE`"
        )
    from services.backends.torch_backend import TorchBackend
    from services.models.loading import load_tier

    model = load_tier(bundle, tier)
    encoder = TextEncoder.of(model.tokenizer, model.spec.max_tokens)
    return TorchBackend(model.network, encoder, device=device, threads=threads, precision=precision)
