"""What runs a tier: the backend for its device and precision."""

from __future__ import annotations

import importlib.util
import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offramp.bundle import DEFAULT_PRECISION, Manifest, TierSpec, read_manifest, verify_tier
from offramp.bundle.manifest import RESTORE
from offramp.errors import BundleError, ConfigError
from services.backends.base import Backend
from services.backends.exported import FORM
from services.backends.openvino_backend import OpenVinoBackend, bf16_is_native
from services.backends.tokenizing import TextEncoder
from services.models.files import EXPORTED, TOKENIZER, WEIGHTS

if TYPE_CHECKING:
    from services.models.loading import TierModel

log = logging.getLogger(__name__)

AUTO, TORCH, OPENVINO = "auto", "torch", "openvino"
# The kind of tier that runs on one thread where nobody says otherwise: its batches are so short
# that to wake a second one for them takes longer than it helps.
STUDENT = "student"
# A precision is taken by itself on a CPU where it is so many times as fast as the one before it, of
# fp32, int8 and bf16: for less it is not worth its rounding, and the choice could be another one
# after every restart.
FASTER = 1.3
# What is timed for it: a batch of texts of so many words, for so long, so many times.
TIMED_ROWS, TIMED_WORDS, TIMED_SECONDS = 16, 30, 1.0
FEWEST_ROUNDS, MOST_ROUNDS = 3, 20


@dataclass(frozen=True, slots=True)
class OpenTier:
    """A tier of a bundle, and what runs it."""

    manifest: Manifest
    spec: TierSpec
    backend: Backend[Any]


@dataclass(frozen=True, slots=True)
class Wish:
    """What should run a tier.

    precision: one that the bundle has evidence in, or auto: on a CPU int8 or bf16 where it is
        clearly faster here, on a GPU bf16; fp32 where the bundle has no evidence in these.
    backend: torch, openvino, or auto: OpenVINO where the bundle has stages for it that compute here
        what they should, PyTorch otherwise. PyTorch is not loaded where it does not run the tier.
    device: cpu or cuda.  threads: on the CPU; 0 for one in a student, all cores but one in
        other tiers.
    """

    precision: str = AUTO
    backend: str = AUTO
    device: str = "cpu"
    threads: int = 0


def open_tier(bundle: Path, tier: str, wish: Wish) -> OpenTier:
    """A tier of a bundle, ready to run.

    Raises BundleError, with a remedy, where nothing can run it, ConfigError where the device is not
    here.
    """
    manifest = read_manifest(bundle)
    spec = manifest.tier(tier)
    if wish.precision != AUTO:
        spec.readouts_in(wish.precision)  # what lacks them cannot serve, whatever runs it
    verify_tier(bundle, manifest, tier)
    if not wish.threads:
        wish = replace(wish, threads=_threads(spec, _cores()))
    return OpenTier(manifest, spec, _backend(bundle, manifest, spec, wish))


def _threads(spec: TierSpec, cores: int) -> int:
    """What runs a tier best where it shares its cores with the router and other tiers."""
    return 1 if spec.kind == STUDENT else max(1, cores - 1)


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _backend(bundle: Path, manifest: Manifest, spec: TierSpec, wish: Wish) -> Backend[Any]:
    if wish.precision == AUTO:
        return _by_itself(bundle, manifest, spec, wish)
    precision, found = wish.precision, None
    if wish.device == "cpu" and wish.backend != TORCH and _runs_exported(manifest, spec, precision):
        found = _exported(bundle / spec.name, spec, wish)
    if found is None and (wish.backend == OPENVINO or precision == "int8"):
        raise BundleError(_not_by_openvino(manifest, spec, precision))
    return found or _torch(bundle, spec.name, wish)


def _not_by_openvino(manifest: Manifest, spec: TierSpec, precision: str) -> str:
    """Why OpenVINO cannot run a tier, and what to do."""
    if _is_exported(manifest, spec, precision):
        return (
            f"tier {spec.name!r}: this processor has no instructions for {precision} that OpenVINO "
            "uses; set engine.precision to fp32, or engine.backend to torch"
        )
    verb = "calibrate BUNDLE DATA --precision int8" if precision == "int8" else "export BUNDLE"
    return (
        f"tier {spec.name!r} has no stages for OpenVINO in {precision}; make them with "
        f"`offramp {verb}`"
    )


def _by_itself(bundle: Path, manifest: Manifest, spec: TierSpec, wish: Wish) -> Backend[Any]:
    """The precision that is best here, of those that the bundle has evidence in."""

    def at(precision: str, backend: str = wish.backend) -> Backend[Any]:
        return _backend(bundle, manifest, spec, replace(wish, precision=precision, backend=backend))

    if wish.device != "cpu":
        return at("bf16" if "bf16" in spec.readouts else DEFAULT_PRECISION)
    chosen = at(DEFAULT_PRECISION)
    for precision in _quicker(manifest, spec, wish):
        try:
            rounded = at(precision, OPENVINO)
        except BundleError as error:
            log.warning("tier %s: %s; it does not run in %s", spec.name, error, precision)
            continue
        gain = _gain(chosen, rounded, manifest.pairs)
        log.info("tier %s: %s is %.2f times as fast as %s", spec.name, precision, gain, chosen.name)
        if gain >= FASTER:
            chosen = rounded
    return chosen


def _quicker(manifest: Manifest, spec: TierSpec, wish: Wish) -> list[str]:
    """Precisions that may be quicker than fp32 by OpenVINO on this CPU, in the order to try.

    In int8 few rows' results depend on what they are batched with; in bf16 all may, by rounding.
    """
    if wish.backend == TORCH:
        return []
    able = {"int8": True, "bf16": _runs_exported(manifest, spec, "bf16")}
    return [precision for precision in able if able[precision] and precision in spec.readouts]


def _gain(
    known: Backend[Any],
    other: Backend[Any],
    pairs: bool,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """How many times as fast the second is, by the fastest run of each.

    They run in turns, so that what else the machine does comes upon both alike.
    """
    fastest = [math.inf, math.inf]
    runs = [_timed_run(backend, pairs, clock) for backend in (known, other)]
    end = clock() + TIMED_SECONDS
    for done in range(MOST_ROUNDS):
        if done >= FEWEST_ROUNDS and clock() > end:
            break
        fastest = [min(best, run()) for best, run in zip(fastest, runs, strict=True)]
    return fastest[0] / fastest[1]


def _timed_run(
    backend: Backend[Any], pairs: bool, clock: Callable[[], float]
) -> Callable[[], float]:
    """Takes a batch from the first stage to the last; gives the seconds that it took."""
    backend.prepare()
    text = (" ".join(["a"] * TIMED_WORDS), "a" if pairs else None)
    rows = backend.encode([text]) * TIMED_ROWS

    def run() -> float:
        began = clock()
        states = backend.begin(rows)
        for stage in range(backend.stages):
            states, _ = backend.run_stage(stage, states)
        return clock() - began

    return run


def backend_of(tier: TierModel, precision: str) -> Backend[Any]:
    """What serves a tier on this processor, and so what its evidence is taken with.

    OpenVINO where the bundle has stages for it that compute here what they should, PyTorch
    otherwise; on as many threads as PyTorch is set to. Raises BundleError where int8 stages are
    wanted and missing.
    """
    import torch

    from services.backends.torch_backend import TorchBackend

    encoder = TextEncoder.of(tier.tokenizer, tier.spec.max_tokens)
    if precision == "int8" or _runs_exported(tier.manifest, tier.spec, precision):
        folder = tier.quantised if precision == "int8" else tier.folder / EXPORTED[precision]
        backend = OpenVinoBackend(
            folder,
            tier.network.stages,
            encoder,
            precision=precision,
            weights=tier.folder / WEIGHTS,
            threads=torch.get_num_threads(),
        )
        try:
            backend.prepare()
        except BundleError as error:
            if precision == "int8":
                raise
            log.warning("tier %s: %s; PyTorch runs it", tier.spec.name, error)
        else:
            return backend
    return TorchBackend(tier.network, encoder, precision=precision)


def _runs_exported(manifest: Manifest, spec: TierSpec, precision: str) -> bool:
    """Whether OpenVINO may run a tier here: it is exported, and the processor has the precision."""
    return _is_exported(manifest, spec, precision) and (precision != "bf16" or bf16_is_native())


def _is_exported(manifest: Manifest, spec: TierSpec, precision: str) -> bool:
    if precision not in EXPORTED:
        return False
    folder = f"{spec.name}/{EXPORTED[precision]}/"
    return any(name.startswith(folder) for name in manifest.files)


def _exported(folder: Path, spec: TierSpec, wish: Wish) -> OpenVinoBackend | None:
    """OpenVINO on the stages in a tier's folder, tried out.

    None where they do not compute what they should and PyTorch can take their place.
    """
    precision = wish.precision
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
        threads=wish.threads,
    )
    try:
        backend.prepare()
    except BundleError as error:
        if wish.backend == OPENVINO or precision == "int8" or not _torch_is_here():
            raise
        log.warning("tier %s: %s; PyTorch runs it", spec.name, error)
        return None
    return backend


def _torch_is_here() -> bool:
    return importlib.util.find_spec("torch") is not None


def _torch(bundle: Path, tier: str, wish: Wish) -> Backend[Any]:
    if not _torch_is_here():
        raise BundleError(
            "PyTorch, which would run this tier, is not installed here: pip install -e '.[models]' "
            "in a checkout of offramp, or make stages that need none with `offramp export BUNDLE`"
        )
    import torch

    from services.backends.torch_backend import TorchBackend
    from services.models.loading import load_tier

    if wish.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"engine.device: PyTorch {torch.__version__} sees no CUDA device here: install its "
            "build for CUDA (an image: --build-arg TORCH_INDEX=…), give the container the GPU, or "
            "set device: cpu"
        )
    model = load_tier(bundle, tier)
    encoder = TextEncoder.of(model.tokenizer, model.spec.max_tokens)
    return TorchBackend(
        model.network,
        encoder,
        device=wish.device,
        threads=wish.threads,
        precision=wish.precision,
    )
