"""One split after the other: choose, certify, and look at what the thresholds lose elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from offramp.decision.confidence import Measure
from offramp.decision.evidence import Evidence
from offramp.decision.family import Family, OperatingPoint
from offramp.decision.guarantee import Loss, Terms, certified, losses_of
from offramp.decision.risk import Method, TooThinError
from offramp.decision.simulate import simulate
from offramp.decision.thresholds import ExitShares
from offramp.errors import OfframpError

# The rule without a guarantee: as fast as the loss seen on the certifying part allows.
NAIVE = "none"
CHOOSING, CERTIFYING = 0.2, 0.4


class PartingError(OfframpError):
    """Shares that leave a part without examples."""


@dataclass(frozen=True, slots=True)
class Parting:
    """How a pool is parted: shares that choose thresholds and that certify; the rest tests."""

    choosing: float = CHOOSING
    certifying: float = CERTIFYING

    def sizes(self, count: int) -> dict[str, int]:
        """How many of `count` examples do what. Raises PartingError where a part has none."""
        first, second = round(self.choosing * count), round(self.certifying * count)
        sizes = {"choosing": first, "certifying": second, "testing": count - first - second}
        if min(sizes.values()) < 1:
            raise PartingError(
                f"{count} examples part into {sizes}; give shares above 0 that sum to less than 1"
            )
        return sizes

    def part(self, pool: Evidence, seed: int) -> Parts:
        """A random split."""
        order = np.random.default_rng(seed).permutation(len(pool.labels))
        first, certifying, _ = self.sizes(len(order)).values()
        second = first + certifying
        return Parts(
            choosing=pool.subset(order[:first]),
            certifying=pool.subset(order[first:second]),
            test=pool.subset(order[second:]),
            others=pool.subset(order[first:]),
        )


@dataclass(frozen=True, slots=True)
class Parts:
    """A pool in three, and `others`: all that did not choose, certifying and test part together."""

    choosing: Evidence
    certifying: Evidence
    test: Evidence
    others: Evidence


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked for; method: of certifying, or NAIVE."""

    loss: Loss
    limit: float
    method: str

    def terms(self, confidence: float) -> Terms:
        """As `certified` takes them."""
        return Terms(self.loss, self.limit, Method(self.method), confidence)


@dataclass(frozen=True, slots=True)
class Result:
    """A case in one split; None where it was refused.

    others, test: the loss on these parts (of accuracy: net).  speedup: in FLOPs, on the test part.
    """

    others: float
    test: float
    speedup: float


def cases(limits: Iterable[float]) -> list[Case]:
    """Every loss, limit and method."""
    methods = (*Method, NAIVE)
    return [Case(loss, limit, method) for loss in Loss for limit in limits for method in methods]


@dataclass(frozen=True, slots=True)
class Split:
    """What one split gave: by case, and by loss and limit what hindsight would have kept."""

    results: dict[Case, Result | None]
    hindsight: dict[tuple[Loss, float], float]


def splits(
    pool: Evidence, asked: Sequence[Case], parting: Parting, confidence: float, seeds: Iterable[int]
) -> Iterator[Split]:
    """One Split per seed."""
    for seed in seeds:
        parts = parting.part(pool, seed)
        yield _split(parts, ExitShares(parts.choosing, Measure.MAX_PROB), asked, confidence)


def _split(parts: Parts, family: Family, asked: Sequence[Case], confidence: float) -> Split:
    limits = {(case.loss, case.limit) for case in asked}
    return Split(
        results={case: _result(parts, family, case, confidence) for case in asked},
        hindsight={
            (loss, limit): simulate(
                parts.test, _seen(family, parts.others, loss, limit).thresholds, family.measure
            ).speedup
            for loss, limit in limits
        },
    )


def _result(parts: Parts, family: Family, case: Case, confidence: float) -> Result | None:
    try:
        if case.method == NAIVE:
            point = _seen(family, parts.certifying, case.loss, case.limit)
        else:
            point, _ = certified(family, parts.certifying, case.terms(confidence))
    except TooThinError:
        return None
    return Result(
        others=_loss(parts.others, point, family.measure, case.loss),
        test=_loss(parts.test, point, family.measure, case.loss),
        speedup=simulate(parts.test, point.thresholds, family.measure).speedup,
    )


def _seen(family: Family, evidence: Evidence, loss: Loss, limit: float) -> OperatingPoint:
    """The last point before the loss seen on the evidence passes the limit; full depth at least."""
    vectors = [point.thresholds for point in family.points]
    seen = losses_of(evidence, vectors, family.measure, _net(loss)).mean(axis=1)
    passed = np.flatnonzero(seen > limit)
    return family.points[int(passed[0]) - 1 if len(passed) else -1]


def _loss(evidence: Evidence, point: OperatingPoint, measure: Measure, loss: Loss) -> float:
    return float(losses_of(evidence, [point.thresholds], measure, _net(loss)).mean())


def _net(loss: Loss) -> Terms:
    """Terms whose loss is what the objective's name says: accuracy lost is net of what is won."""
    return Terms(loss, 0.5, Method.WSR)
