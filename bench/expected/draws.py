"""One draw after the other: thresholds solved on some examples, losses counted on the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from offramp.decision.confidence import Measure
from offramp.decision.evidence import Evidence
from offramp.decision.family import ROUNDING, Family
from offramp.decision.frontier import Frontier
from offramp.decision.plan import NEVER
from offramp.decision.simulate import simulate

Rule: TypeAlias = Callable[[Family, float], tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Case:
    """examples: how many solve the thresholds.  limit: what these may lose.  rule: of RULES."""

    examples: int
    limit: float
    rule: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the thresholds of a draw do on the other examples.

    loss: share of right answers lost against full depth, counted.  cost: relative to full depth.
    """

    loss: float
    cost: float


def expected(family: Family, limit: float) -> tuple[float, ...]:
    """Thresholds as `objective: {expected_loss: limit}` has them."""
    return family.at_loss(limit).thresholds


def counted(family: Family, limit: float) -> tuple[float, ...]:
    """The last ones, from the dearest on, that lose no more on the labels; full depth at least."""
    kept: tuple[float, ...] = (NEVER,) * len(family.evidence.exits)
    for point in family.points:
        forecast = point.forecast
        if forecast.full_depth_accuracy - forecast.accuracy > limit + ROUNDING:
            break
        kept = point.thresholds
    return kept


RULES: dict[str, Rule] = {"expected by consensus": expected, "counted on the labels": counted}


def draws(
    pool: Evidence, sizes: Iterable[int], limits: Iterable[float], seeds: Iterable[int]
) -> Iterator[dict[Case, Outcome]]:
    """All cases, once per seed."""
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(len(pool.labels))
        found = {}
        for size in sizes:
            family = Frontier(pool.subset(order[:size]), Measure.MAX_PROB)
            others = pool.subset(order[size:])
            for limit in limits:
                for name, rule in RULES.items():
                    found[Case(size, limit, name)] = _outcome(others, rule(family, limit))
        yield found


def _outcome(others: Evidence, thresholds: tuple[float, ...]) -> Outcome:
    forecast = simulate(others, thresholds, Measure.MAX_PROB)
    return Outcome(forecast.full_depth_accuracy - forecast.accuracy, forecast.mean_cost)
