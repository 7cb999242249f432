"""A cascade run for real in this process: the tiers' own engines, one after the other, timed.

Every method runs the same way: tokenised by each tier that sees the text, batched, compacted after
each stage, rows leaving one by one. A tier runs with the exits that the method uses and no others,
so the full model is one stage and pays for no exit that nothing reads. Stages are run by what
serves them on a CPU: OpenVINO, or PyTorch where OpenVINO cannot.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import groupby, pairwise
from operator import add
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from offramp.decision.cost import ExitCost
from offramp.decision.readout import Readout
from offramp.errors import BundleError
from services.backends.base import Backend
from services.backends.opening import OPENVINO
from services.backends.openvino_backend import OpenVinoBackend
from services.backends.tokenizing import TextEncoder
from services.backends.torch_backend import TorchBackend
from services.engine import warmup
from services.engine.core import Engine
from services.engine.plan import StagePlan
from services.engine.row import Answer, Row
from services.engine.scheduler import Scheduler
from services.engine.stage_clock import StageCurve
from services.metrics import TierMetrics
from services.models.files import WEIGHTS
from services.models.loading import TierModel, load_tier
from services.models.multi_exit import MultiExitClassifier
from services.models.staged import StagedNetwork
from services.models.storage import save_weights
from training.compare.cascade import Cascade
from training.data import Text
from training.openvino_export import export_fp32


@dataclass(frozen=True, slots=True)
class Served:
    """Label and exit (its place in the evidence) of N texts, and what all took together.

    seconds: on the wall clock.  processor_seconds: of all threads of this process.
    """

    labels: NDArray[np.intp]
    exits: NDArray[np.intp]
    seconds: float
    processor_seconds: float


@dataclass(frozen=True, slots=True)
class _Tier:
    """One tier of a cascade: its engine, its plan, and where its exits stand in the evidence."""

    engine: Engine
    plan: StagePlan
    places: tuple[int, ...]


class Engines:
    """Makes engines of the tiers of bundles; networks are loaded once.

    exits: those of the evidence.  homes: the bundle and tier that each tier of the evidence is.
    backend: what runs them, openvino (or torch, where OpenVINO cannot) or torch.
    """

    def __init__(
        self,
        exits: Sequence[ExitCost],
        homes: Mapping[str, tuple[Path, str]],
        batch: int,
        backend: str = OPENVINO,
    ) -> None:
        self._exits = tuple(exits)
        self._models = {name: load_tier(bundle, tier) for name, (bundle, tier) in homes.items()}
        self._batch = batch
        self._by = backend
        self._backends: dict[tuple[str, tuple[int, ...]], Backend[Any]] = {}
        self._curves: dict[str, tuple[StageCurve, ...]] = {}
        self._engines: dict[tuple[tuple[int, ...], tuple[Readout, ...]], Engine] = {}

    def build(self, cascade: Cascade) -> Runner:
        """Engines for a cascade, ready to run."""
        rows = list(zip(cascade.view.exits, cascade.view.readouts, cascade.thresholds, strict=True))
        found = []
        for name, group in groupby(rows, key=lambda row: self._exits[row[0]].tier):
            places, readouts, thresholds = zip(*group, strict=True)
            engine = self._engine(name, places, readouts)
            plan = StagePlan(tuple(thresholds), len(places) - 1, cascade.measure)
            found.append(_Tier(engine, plan, places))
        return Runner(found)

    def _engine(self, tier: str, places: tuple[int, ...], readouts: tuple[Readout, ...]) -> Engine:
        """The engine of a tier with those exits, shared by cascades."""
        if (places, readouts) not in self._engines:
            model = self._models[tier]
            backend = self._backend(tier, [self._stage(place) for place in places])
            metrics = TierMetrics(CollectorRegistry(), tuple(self._exits[p].name for p in places))
            engine = Engine(backend, readouts, Scheduler(len(places), self._batch), metrics)
            engine.prepare(warm_up=False, pairs=model.manifest.pairs)
            engine.expect(self._curves_up_to(tier, [self._stage(place) for place in places]))
            self._engines[places, readouts] = engine
        return self._engines[places, readouts]

    def _curves_up_to(self, tier: str, stages: Sequence[int]) -> list[StageCurve]:
        """What each stage takes where only some exits are kept: the sum of those between them."""
        known = self._measured(tier)
        borders = [0, *(stage + 1 for stage in stages)]
        return [reduce(add, known[first:end]) for first, end in pairwise(borders)]

    def _measured(self, tier: str) -> tuple[StageCurve, ...]:
        """What the stages of a tier take with all of its exits, measured once."""
        if tier not in self._curves:
            model = self._models[tier]
            backend = self._backend(tier, range(model.network.stages))
            backend.prepare()
            self._curves[tier] = warmup.measure(backend, self._batch, model.manifest.pairs)
        return self._curves[tier]

    def _backend(self, tier: str, stages: Sequence[int]) -> Backend[Any]:
        """What serves a tier with the exits of those stages, shared by engines."""
        key = (tier, tuple(stages))
        if key not in self._backends:
            model = self._models[tier]
            make = _by_openvino if self._by == OPENVINO else _by_torch
            self._backends[key] = make(model, _with_exits(model, stages))
        return self._backends[key]

    def _stage(self, place: int) -> int:
        """Which exit of its tier stands at a place of the evidence."""
        exit_cost = self._exits[place]
        own = [e.name for e in self._exits if e.tier == exit_cost.tier]
        if len(own) == 1:
            return len(self._models[exit_cost.tier].spec.exits) - 1
        return own.index(exit_cost.name)


class Runner:
    """The tiers of a cascade in a row."""

    def __init__(self, tiers: Sequence[_Tier]) -> None:
        self._tiers = tuple(tiers)

    def run(self, texts: Sequence[Text]) -> Served:
        """Classify all texts; what a tier is unsure of goes on to the next. Raises what rows do."""
        labels = np.zeros(len(texts), dtype=np.intp)
        exits = np.zeros(len(texts), dtype=np.intp)
        began, processor = time.perf_counter(), time.process_time()
        waiting: Sequence[int] = range(len(texts))
        for tier in self._tiers:
            unsure = []
            for row in _through(tier, texts, waiting):
                if not isinstance(row.outcome, Answer):
                    raise row.outcome or RuntimeError("a row ended without an outcome")
                labels[row.id] = int(np.argmax(row.outcome.probabilities))
                exits[row.id] = tier.places[row.outcome.stage]
                if not row.outcome.confident:
                    unsure.append(row.id)
            waiting = sorted(unsure)
        seconds = time.perf_counter() - began
        return Served(labels, exits, seconds, time.process_time() - processor)


def _through(tier: _Tier, texts: Sequence[Text], chosen: Sequence[int]) -> list[Row]:
    """The chosen texts through one tier, all handed in at once."""
    rows = [Row(i, texts[i].text, texts[i].pair, tier.plan, _nobody) for i in chosen]
    tier.engine.add(rows)
    ended: list[Row] = []
    while not tier.engine.idle:
        ended += tier.engine.step()
    return ended


def _nobody(rows: list[Row]) -> None:
    """Nobody waits for rows here: they are returned by the engine's own steps."""


def _by_torch(model: TierModel, network: StagedNetwork) -> Backend[Any]:
    return TorchBackend(network, TextEncoder.of(model.tokenizer, model.spec.max_tokens))


def _by_openvino(model: TierModel, network: StagedNetwork) -> Backend[Any]:
    encoder = TextEncoder.of(model.tokenizer, model.spec.max_tokens)
    with TemporaryDirectory(prefix="offramp-stages-") as folder:
        stages, weights = Path(folder) / "stages", Path(folder) / WEIGHTS
        try:
            export_fp32(network, encoder, stages)
        except BundleError:
            return _by_torch(model, network)
        save_weights(network, weights, "fp32")
        return OpenVinoBackend(
            stages,
            network.stages,
            encoder,
            precision="fp32",
            weights=weights,
            threads=torch.get_num_threads(),
        )


def _with_exits(model: TierModel, stages: Sequence[int]) -> StagedNetwork:
    """The tier's network with some of its exits alone."""
    network = model.network
    if not isinstance(network, MultiExitClassifier) or len(stages) == network.stages:
        return network
    return network.with_exits([network.config.exits[stage] for stage in stages])
