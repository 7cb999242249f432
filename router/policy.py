"""Policy: from the thresholds in force and a request's wishes to where it may leave.

Pure: thresholds and wishes in, bounds out. Thresholds come from `router.objective`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from offramp.decision.plan import NEVER
from offramp.errors import InvalidRequestError, Violation, quoted
from router.config import OverrideLimits

ALWAYS = 0.0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a request asks for beyond the route's policy; None and False: nothing."""

    min_confidence: float | None = None
    max_cost: float | None = None
    last_exit: str | None = None
    full_depth: bool = False

    def given(self) -> tuple[str, ...]:
        """Names of the wishes that are made."""
        values = {name: getattr(self, name) for name in OverrideLimits.model_fields}
        return tuple(n for n, value in values.items() if value is not None and value is not False)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a request may leave: a threshold per exit, the last exit allowed, where it begins."""

    thresholds: tuple[float, ...]
    last: int
    first: int = 0


def restrict(
    wishes: Wishes,
    *,
    exits: Sequence[str],
    tiers: Sequence[str],
    costs: Sequence[float],
    thresholds: tuple[float, ...],
    allowed: OverrideLimits,
) -> Bounds:
    """Apply a request's wishes to the thresholds in force.

    exits, costs (cumulative, 1: full depth), thresholds: E each, in the order of the cascade;
    tiers: the tier of each exit. Wishes only ever make a request surer, cheaper or complete:
    min_confidence raises thresholds, max_cost and last_exit cut the cascade short, full_depth goes
    straight to the last exit. A cascade cut short is not what the policy's guarantee, if it has
    one, was certified for. Raises InvalidRequestError naming every wish that cannot be granted.
    """
    violations = [*_refused(wishes, allowed), *_malformed(wishes, exits, costs)]
    if violations:
        raise InvalidRequestError(violations)
    if wishes.full_depth:
        return full_depth(tiers)
    last = len(exits) - 1
    if wishes.last_exit is not None:
        last = exits.index(wishes.last_exit)
    if wishes.max_cost is not None:
        last = min(last, _deepest_within(costs, wishes.max_cost))
    floor = wishes.min_confidence or 0.0
    return Bounds(_cut(tuple(max(t, floor) for t in thresholds), last), last)


def full_depth(tiers: Sequence[str]) -> Bounds:
    """Straight to the last tier and to its last exit; tiers: the tier of each exit."""
    last = len(tiers) - 1
    return Bounds(_cut((NEVER,) * len(tiers), last), last, tiers.index(tiers[-1]))


def _cut(thresholds: tuple[float, ...], last: int) -> tuple[float, ...]:
    """The last exit allowed always answers, deeper ones never do."""
    return (*thresholds[:last], ALWAYS, *(NEVER for _ in thresholds[last + 1 :]))


def _deepest_within(costs: Sequence[float], max_cost: float) -> int:
    return max(index for index, cost in enumerate(costs) if cost <= max_cost)


def _refused(wishes: Wishes, allowed: OverrideLimits) -> list[Violation]:
    return [
        Violation(f"override.{name}", "this route does not allow it; leave it out")
        for name in wishes.given()
        if not getattr(allowed, name)
    ]


def _malformed(wishes: Wishes, exits: Sequence[str], costs: Sequence[float]) -> list[Violation]:
    found = []
    confidence, max_cost, last_exit = wishes.min_confidence, wishes.max_cost, wishes.last_exit
    if confidence is not None and not 0 <= confidence <= 1:
        found.append(("min_confidence", f"{confidence:g} is not a confidence; give 0 to 1"))
    if max_cost is not None and not (math.isfinite(max_cost) and max_cost > 0):
        found.append(("max_cost", f"{max_cost:g} is not a cost; give a number above 0"))
    elif max_cost is not None and max_cost < costs[0]:
        cheapest = f"the cheapest exit is {exits[0]} at {_rounded_up(costs[0])}"
        found.append(("max_cost", f"nothing costs {max_cost:g} or less; {cheapest}"))
    if last_exit is not None and last_exit not in exits:
        known = ", ".join(exits)
        found.append(("last_exit", f"no exit {quoted(last_exit)}; this route has: {known}"))
    if wishes.full_depth and len(wishes.given()) > 1:
        found.append(("full_depth", "stands alone; leave out the other overrides"))
    return [Violation(f"override.{name}", description) for name, description in found]


def _rounded_up(cost: float) -> str:
    """The cost with four decimals, never below itself: what is printed must be accepted."""
    return f"{math.ceil(cost * 1e4) / 1e4:g}"


def tier_spans(tiers: Sequence[str]) -> list[tuple[int, int]]:
    """Index ranges (start, end) of the exits of each tier, in the order of the cascade."""
    starts = [0, *(i for i, (a, b) in enumerate(pairwise(tiers), 1) if a != b), len(tiers)]
    return list(pairwise(starts))
