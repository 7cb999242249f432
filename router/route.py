"""A route's fixed facts: the exits of its bundle, what each costs, and the evidence for both."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from offramp.bundle import Manifest, read_evidence, read_manifest
from offramp.decision import cost
from offramp.decision.confidence import Measure
from offramp.decision.cost import CostCurve
from offramp.decision.evidence import Evidence
from offramp.decision.family import Family
from offramp.decision.frontier import Frontier
from offramp.decision.thresholds import ExitShares
from offramp.errors import BundleError


@dataclass(frozen=True, slots=True)
class CostTable:
    """A cost curve read off at every token count up to a limit: one lookup per request."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, curve: CostCurve, max_tokens: int) -> CostTable:
        """Tabulate 0..max_tokens."""
        return cls(tuple(curve.at(np.arange(max_tokens + 1)).tolist()))

    def at(self, tokens: int) -> float:
        """Cost of a text of that many tokens; longer ones are cut to the limit."""
        return self.values[min(tokens, len(self.values) - 1)]


@dataclass(frozen=True, slots=True)
class RouteTier:
    """A tier of the cascade: its name in the config and in the bundle, and its exits in order."""

    name: str
    name_in_bundle: str
    exits: tuple[str, ...]
    flops: dict[str, CostTable]


@dataclass(frozen=True)
class Route:
    """What a route is made of; loaded once, shared by every policy."""

    name: str
    bundle: Path
    manifest: Manifest
    evidence: Evidence
    tiers: tuple[RouteTier, ...]
    _families: dict[tuple[type[Family], Measure], Family] = field(
        default_factory=dict, compare=False
    )
    _solving: threading.Lock = field(default_factory=threading.Lock, compare=False)

    def in_precisions(self, precisions: Mapping[str, str]) -> Route:
        """The route with the evidence of other precisions, by the bundle's names of its tiers.

        Raises BundleError, with the remedy, where there is none.
        """
        evidence = read_evidence(self.bundle, self.manifest, precisions)
        return Route(self.name, self.bundle, self.manifest, evidence, self.tiers)

    @cached_property
    def exits(self) -> tuple[str, ...]:
        """All exits in the order of the cascade."""
        return self.evidence.exit_names

    @cached_property
    def exit_tiers(self) -> tuple[str, ...]:
        """The tier of each exit, as the bundle names it."""
        return tuple(e.tier for e in self.evidence.exits)

    @cached_property
    def baseline_flops(self) -> CostTable:
        """Full depth of the last tier, with no tier before it."""
        last = self.tiers[-1]
        return last.flops[last.exits[-1]]

    @cached_property
    def relative_costs(self) -> tuple[float, ...]:
        """Cost of answering at each exit, for a text of mean length; 1 is full depth."""
        mean_tokens = float(self.evidence.tokens.mean())
        return tuple(cost.relative(self.evidence.exits, [mean_tokens])[:, 0].tolist())

    def frontier(self, measure: Measure) -> Family:
        """The thresholds that a budget picks from, solved once. Call from a thread: it is slow.

        On all of the evidence: a budget promises nothing that texts would have to be kept for.
        """
        return self._family(Frontier, self.evidence, measure)

    def shares(self, measure: Measure) -> Family:
        """The thresholds that are tested for a guarantee, solved once. Call from a thread."""
        return self._family(ExitShares, self.evidence.choosing, measure)

    def _family(self, kind: type[Family], evidence: Evidence, measure: Measure) -> Family:
        with self._solving:
            if (kind, measure) not in self._families:
                family = kind(evidence, measure)
                _ = family.points  # solved here, under the lock
                self._families[kind, measure] = family
            return self._families[kind, measure]


def load_route(name: str, directory: Path, tiers: dict[str, str]) -> Route:
    """Read a route from its bundle; `tiers` maps names in the config to names in the bundle.

    Its evidence is that of tiers in fp32, until these say what they compute in.

    Raises BundleError where the bundle is unusable or its tiers are not these, in this order.
    """
    manifest = read_manifest(directory)
    expected = tuple(spec.name for spec in manifest.tiers)
    if tuple(tiers.values()) != expected:
        raise BundleError(
            f"routes.{name}.tiers: bundle {directory} is a cascade of {', '.join(expected)}, "
            f"the route lists {', '.join(tiers.values())}; list the bundle's tiers in its order"
        )
    return Route(
        name=name,
        bundle=directory,
        manifest=manifest,
        evidence=read_evidence(directory, manifest),
        tiers=tuple(_tier(manifest, *names) for names in tiers.items()),
    )


def _tier(manifest: Manifest, name: str, name_in_bundle: str) -> RouteTier:
    spec = manifest.tier(name_in_bundle)
    return RouteTier(
        name=name,
        name_in_bundle=name_in_bundle,
        exits=tuple(e.name for e in spec.exits),
        flops={e.name: CostTable.of(e.flops, spec.max_tokens) for e in spec.exits},
    )
