"""One data set, one seed: train, score the test file once, choose on evidence, measure, time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.bundles import CHEAP_STUDENT, trained
from bench.inprocess import Engines
from bench.papers.points import ChosenPoint, operating_points
from bench.papers.timing import Timing, time_in_turn, warn_if_crowded
from bench.scores import joined, scored
from offramp.bundle import read_evidence, read_manifest
from offramp.decision.evidence import Evidence
from services.models.loading import load_tier
from services.models.multi_exit import MultiExitClassifier
from training.compare.cascade import Cascade, Examples, examples_of
from training.compare.methods import ALONE, FULL, METHODS, TRAINED_ALONE
from training.compare.ways import Way, compare
from training.data import LabelledTexts
from training.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class Timed:
    """How the clock is used: texts drawn from the test file, rounds, rows to a batch, by what."""

    texts: int
    repeats: int
    batch: int
    backend: str


@dataclass(frozen=True)
class Comparison:
    """All methods on one bundle. sizes: texts by what they were used for."""

    seed: int
    bundle: str
    sizes: Mapping[str, int]
    full: Cascade
    ways: tuple[Way, ...]
    test: Examples
    points: tuple[ChosenPoint, ...]
    timings: Mapping[Cascade, Timing]


@dataclass(frozen=True)
class Bundles:
    """A bundle, and the single-exit models that were trained beside it, by tier name."""

    cascade: Path
    alone: Mapping[str, Path]

    @property
    def homes(self) -> dict[str, tuple[Path, str]]:
        """The bundle and tier that each tier of the joined evidence is."""
        own = {t.name: (self.cascade, t.name) for t in read_manifest(self.cascade).tiers}
        return own | {name: (bundle, "large") for name, bundle in self.alone.items()}

    def evidence(self) -> Evidence:
        """Of the bundle, joined by that of the others."""
        alone = {name: read_evidence(b, read_manifest(b)) for name, b in self.alone.items()}
        return joined(read_evidence(self.cascade, read_manifest(self.cascade)), alone)

    def scored(self, data: Path, work: Path) -> tuple[Evidence, LabelledTexts]:
        """Of a test file, joined as above; and its texts."""
        found, texts = scored(self.cascade, data, work)
        alone = {name: scored(bundle, data, work)[0] for name, bundle in self.alone.items()}
        return joined(found, alone), texts


def train_all(settings: TrainSettings, work: Path, alone: bool) -> Bundles:
    """The bundle of `settings`, with an exit at every layer, and a model per depth if asked for."""
    cascade = trained(settings, work)
    network = load_tier(cascade, "large").network
    depths = network.config.exits if isinstance(network, MultiExitClassifier) and alone else ()
    return Bundles(
        cascade,
        {f"{ALONE}{depth}": trained(_single(settings, depth), work) for depth in depths},
    )


def _single(settings: TrainSettings, depth: int) -> TrainSettings:
    """A model cut at one depth, trained for that depth alone."""
    return replace(
        settings,
        name=f"{settings.name}-alone{depth}",
        large=replace(settings.large, exits=(depth,), recipe="joint"),
        small=CHEAP_STUDENT,
    )


def compare_on(bundles: Bundles, seed: int, data: Path, work: Path, timed: Timed) -> Comparison:
    """Choose on the bundle's evidence, then look at the test file."""
    choosing = examples_of(bundles.evidence())
    found, texts = bundles.scored(data, work)
    test = Examples(found, choosing.full_calibrator)
    methods = (*METHODS, TRAINED_ALONE) if bundles.alone else METHODS
    ways = compare(methods, choosing, test)
    points = operating_points(ways, choosing, test)
    full = next(way for way in ways if way.method is FULL).cascades[0]
    cascades = list(dict.fromkeys([full, *(point.cascade for point in points)]))
    manifest = read_manifest(bundles.cascade)
    return Comparison(
        seed=seed,
        bundle=manifest.id,
        sizes={"choosing": len(choosing.labels), "test": len(texts)},
        full=full,
        ways=ways,
        test=test,
        points=points,
        timings=_timings(bundles, test, texts, cascades, timed),
    )


def _timings(
    bundles: Bundles, test: Examples, texts: LabelledTexts, cascades: list[Cascade], timed: Timed
) -> dict[Cascade, Timing]:
    """Time the cascades on texts drawn at random, the same for all; the first is the full model."""
    rows = np.random.default_rng(0).permutation(len(texts))[: timed.texts]
    drawn = Examples(test.evidence.subset(rows), test.full_calibrator)
    foretold = dict(zip(cascades, drawn.run(cascades), strict=True))
    engines = Engines(test.evidence.exits, bundles.homes, timed.batch, timed.backend)
    chosen = [texts.texts[i] for i in rows]
    timings = time_in_turn(engines, cascades[0], foretold, chosen, timed.repeats)
    warn_if_crowded(timings[cascades[0]])
    return timings
