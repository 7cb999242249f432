"""The frontier: one number, the price of compute, turned into a threshold for every exit.

At each exit the cascade goes on only if the gain in expected accuracy is worth `price` times the
further cost. Solved backward over the exits on evidence, each price gives a threshold vector.
The vectors are nested (a lower price never lowers a threshold), so cost is monotone in the dial on
any data, not just on the evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from offramp.decision.confidence import Measure
from offramp.decision.evidence import Evidence
from offramp.decision.plan import NEVER
from offramp.decision.simulate import Forecast, simulate

# Accuracy points per unit of relative cost; the ends are "never stop early" and "always stop".
PRICES = np.concatenate(([0.0], np.geomspace(1e-4, 3.0, 120)))


BLEND_STEPS = 20


@dataclass(frozen=True, slots=True)
class FrontierPoint:
    """A price of compute, the thresholds it gives (one per exit), and their forecast."""

    price: float
    thresholds: tuple[float, ...]
    forecast: Forecast


@dataclass(frozen=True)
class Frontier:
    """The family of threshold vectors of one evidence and measure, from dearest to cheapest."""

    evidence: Evidence
    measure: Measure

    @cached_property
    def points(self) -> tuple[FrontierPoint, ...]:
        """One point per distinct threshold vector, in descending order of cost."""
        found: list[FrontierPoint] = []
        for price, row in zip(PRICES, nested_thresholds(self.evidence, self.measure), strict=True):
            thresholds = tuple(float(t) for t in row)
            if found and found[-1].thresholds == thresholds:
                continue
            forecast = simulate(self.evidence, thresholds, self.measure)
            found.append(FrontierPoint(float(price), thresholds, forecast))
        return tuple(found)

    def at_cost(self, mean_cost: float) -> FrontierPoint:
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

    def _blend(self, dear: FrontierPoint, cheap: FrontierPoint, mean_cost: float) -> FrontierPoint:
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

    def _between(self, dear: FrontierPoint, cheap: FrontierPoint, share: float) -> FrontierPoint:
        thresholds = tuple(
            low + share * (high - low)
            for low, high in zip(cheap.thresholds, dear.thresholds, strict=True)
        )
        price = cheap.price + share * (dear.price - cheap.price)
        return FrontierPoint(price, thresholds, simulate(self.evidence, thresholds, self.measure))


def nested_thresholds(evidence: Evidence, measure: Measure) -> NDArray[np.float64]:
    """Threshold vectors (prices, E), one per entry of PRICES, non-increasing down the rows."""
    scores = evidence.confidences(measure)
    rewards = expected_correctness(evidence)
    costs = evidence.costs()
    rows = [solve(scores, rewards, costs, float(price)) for price in PRICES]
    return np.minimum.accumulate(np.stack(rows), axis=0)


def expected_correctness(evidence: Evidence) -> NDArray[np.float64]:
    """Estimated chance (E, N) that each exit's own answer is right, given all the exits saw.

    The label of one example is a noisy reading of it; averaging the label with the probability that
    the deepest exit gives to the same answer halves that noise at the price of a small bias.
    """
    answers = evidence.logits.argmax(axis=-1)
    deepest = evidence.probabilities()[-1]
    believed = deepest[np.arange(answers.shape[1])[None, :], answers]
    expected: NDArray[np.float64] = 0.5 * (believed + evidence.correct())
    return expected


def solve(
    scores: NDArray[np.float64],
    rewards: NDArray[np.float64],
    costs: NDArray[np.float64],
    price: float,
) -> NDArray[np.float64]:
    """Thresholds (E,) by backward induction; scores, rewards and costs are (E, N).

    The value of an example at an exit is its reward there less price times cost; from the last exit
    back, each threshold maximises the sum of values given the thresholds behind it.
    """
    exits = len(scores)
    thresholds = np.zeros(exits)
    onward = rewards[-1] - price * costs[-1]
    for exit_index in range(exits - 2, -1, -1):
        here = rewards[exit_index] - price * costs[exit_index]
        threshold = best_threshold(scores[exit_index], here - onward)
        stops = (scores[exit_index] >= threshold) & (threshold < NEVER)
        onward = np.where(stops, here, onward)
        thresholds[exit_index] = threshold
    return thresholds


def best_threshold(scores: NDArray[np.float64], advantage: NDArray[np.float64]) -> float:
    """The threshold t that maximises the summed `advantage` of stopping where score >= t.

    Ties go to the higher threshold (the deeper answer). 1 where stopping never pays, 0 where it
    always does.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    gains = np.concatenate(([0.0], np.cumsum(advantage[order])))
    # A threshold cannot part equal scores: only positions where the score changes are choices.
    allowed = np.concatenate(([True], ranked[1:] < ranked[:-1], [True]))
    best = int(np.flatnonzero(allowed)[np.argmax(gains[allowed])])
    if best == 0:
        return NEVER
    if best == len(ranked):
        return 0.0
    return float((ranked[best - 1] + ranked[best]) / 2)
