"""A family of threshold vectors: one number from the dearest to the cheapest, and what each costs.

The vectors are nested: a cheaper one never has a higher threshold at any exit. So a text never goes
deeper when the number moves to the cheap end, and cost is monotone in it on any data, not just on
the evidence that the family was made from.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from offramp.decision.confidence import Measure
from offramp.decision.evidence import Evidence
from offramp.decision.plan import NEVER
from offramp.decision.simulate import Forecast, simulate

BLEND_STEPS = 20
# A loss of 1e-17 is none.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A setting of a family's number, the thresholds it gives (one per exit), their forecast."""

    setting: float
    thresholds: tuple[float, ...]
    forecast: Forecast


@dataclass(frozen=True)
class Family(ABC):
    """Nested threshold vectors made from one evidence and measure."""

    evidence: Evidence
    measure: Measure

    @abstractmethod
    def ladder(self) -> Iterator[tuple[float, tuple[float, ...]]]:
        """Settings with their threshold vectors (E each), nested, from dearest to cheapest."""

    @cached_property
    def points(self) -> tuple[OperatingPoint, ...]:
        """One point per distinct threshold vector, in descending order of cost."""
        found: list[OperatingPoint] = []
        for setting, thresholds in self.ladder():
            if not found or found[-1].thresholds != thresholds:
                found.append(self._point(setting, thresholds))
        return tuple(found)

    def at_cost(self, mean_cost: float) -> OperatingPoint:
        """The dearest point whose forecast cost is at most `mean_cost`.

        Between two neighbours thresholds are blended, which keeps them nested.
        Raises ValueError, naming the least cost there is, when no point is that cheap.
        """
        costs = [point.forecast.mean_cost for point in self.points]
        place = next((i for i, cost in enumerate(costs) if cost <= mean_cost), None)
        if place is None:
            least = self.points[-1].forecast
            raise ValueError(
                f"mean cost {mean_cost:.4g} is below what this cascade can do: at least "
                f"{least.mean_cost:.4g} (a speedup of {least.speedup:.1f})"
            )
        if place == 0:
            return self.points[0]
        return self._blend(self.points[place - 1], self.points[place], mean_cost)

    def at_loss(self, limit: float) -> OperatingPoint:
        """The last point, from the dearest on, that is expected to lose at most this share.

        Of right answers, against full depth: 0.01 is one point of accuracy. Between it and the
        first that loses more thresholds are blended, as for a cost. A cheaper point that loses less
        again is left alone: of many that lose more in truth, one is lucky on the evidence. Where
        the dearest loses more already, a blend with full depth, or full depth.
        """
        most = limit + ROUNDING
        kept = self._point(0.0, (NEVER,) * len(self.evidence.exits))
        for point in self.points:
            if point.forecast.expected_loss > most:
                nearer = self._from(point, kept)
                return next((p for p in nearer if p.forecast.expected_loss <= most), kept)
            kept = point
        return kept

    def _from(self, cheap: OperatingPoint, dear: OperatingPoint) -> Iterator[OperatingPoint]:
        """The cheaper of two neighbours, and points that lie ever nearer to the dearer one."""
        yield cheap
        for step in range(1, BLEND_STEPS):
            yield self._between(dear, cheap, step / BLEND_STEPS)

    def _blend(
        self, dear: OperatingPoint, cheap: OperatingPoint, mean_cost: float
    ) -> OperatingPoint:
        """The point between two neighbours that comes nearest to `mean_cost` without passing it."""
        best, low, high = cheap, 0.0, 1.0
        for _ in range(BLEND_STEPS):
            share = (low + high) / 2
            point = self._between(dear, cheap, share)
            if point.forecast.mean_cost <= mean_cost:
                best, low = point, share
            else:
                high = share
        return best

    def _between(self, dear: OperatingPoint, cheap: OperatingPoint, share: float) -> OperatingPoint:
        thresholds = tuple(
            low + share * (high - low)
            for low, high in zip(cheap.thresholds, dear.thresholds, strict=True)
        )
        return self._point(cheap.setting + share * (dear.setting - cheap.setting), thresholds)

    def _point(self, setting: float, thresholds: tuple[float, ...]) -> OperatingPoint:
        return OperatingPoint(
            setting, thresholds, simulate(self.evidence, thresholds, self.measure)
        )
