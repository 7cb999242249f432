"""Objectives: from what a policy asks for to thresholds, by a route's evidence.

Pure: settings and evidence in, numbers out.
"""

from __future__ import annotations

from dataclasses import dataclass

from offramp.decision.confidence import Measure
from offramp.decision.guarantee import Guarantee, Terms, certified
from offramp.decision.plan import NEVER
from offramp.decision.risk import TooThinError
from offramp.decision.simulate import Forecast, simulate
from offramp.errors import ConfigError
from router.config import PolicySettings
from router.policy import ALWAYS
from router.route import Route

MORE_TEXTS = "take evidence on more labelled texts with `offramp calibrate BUNDLE DATA`"


class ObjectiveError(ConfigError):
    """An objective that this route's bundle cannot meet; `key` is its path below the policy."""

    def __init__(self, key: tuple[str, ...], message: str) -> None:
        super().__init__(f"{'.'.join(key)}: {message}")
        self.key = key
        self.problem = message


@dataclass(frozen=True, slots=True)
class Solution:
    """A route's policy and what it comes to: thresholds, and what the evidence says of them.

    guarantee: what was certified of the thresholds; None where the objective asks for no guarantee.
    """

    route: str
    settings: PolicySettings
    thresholds: tuple[float, ...]
    forecast: Forecast
    guarantee: Guarantee | None


def solve(route: Route, settings: PolicySettings) -> Solution:
    """Thresholds for an objective, from the route's evidence.

    May take a second where the family of the measure is not solved yet: call from a thread.
    Raises ObjectiveError.
    """
    _check_measure(route, settings.confidence)
    thresholds, guarantee = _thresholds(route, settings)
    # What reaches the last exit is answered there, whatever its confidence.
    thresholds = (*thresholds[:-1], ALWAYS)
    forecast = simulate(route.evidence, thresholds, settings.confidence)
    return Solution(route.name, settings, thresholds, forecast, guarantee)


def _thresholds(
    route: Route, settings: PolicySettings
) -> tuple[tuple[float, ...], Guarantee | None]:
    objective = settings.objective
    if objective.target_cost is not None:
        return _at_cost(route, settings, objective.target_cost), None
    if objective.expected_loss is not None:
        family = route.frontier(settings.confidence)
        return family.at_loss(objective.expected_loss).thresholds, None
    if objective.terms is not None:
        return _certified(route, settings.confidence, objective.terms)
    if objective.threshold is not None:
        return (objective.threshold,) * len(route.exits), None
    return _listed(route, objective.thresholds or {}), None


def _check_measure(route: Route, measure: Measure) -> None:
    """Every exit has what the measure takes."""
    try:
        route.evidence.check_measure(measure)
    except ValueError as error:
        raise ObjectiveError(("confidence",), str(error)) from None


def _at_cost(route: Route, settings: PolicySettings, target: float) -> tuple[float, ...]:
    try:
        return route.frontier(settings.confidence).at_cost(target).thresholds
    except ValueError as error:
        form = "mean_cost" if settings.objective.speedup is None else "speedup"
        raise ObjectiveError(("objective", form), str(error)) from None


def _certified(route: Route, measure: Measure, terms: Terms) -> tuple[tuple[float, ...], Guarantee]:
    try:
        point, guarantee = certified(route.shares(measure), route.evidence.certifying, terms)
    except TooThinError as error:
        raise ObjectiveError(("objective", terms.loss), _refusal(terms, error)) from None
    return point.thresholds, guarantee


def _refusal(terms: Terms, error: TooThinError) -> str:
    """Why nothing can be certified, and what to do."""
    seen = (
        f"{terms}: cannot be certified on the {error.examples:,} texts that the evidence keeps "
        f"for it, where even the safest early answers lose {100 * error.observed:.2f}%"
    )
    if error.needed is None:
        return f"{seen}, and no number of such texts would do; raise the limit"
    return f"{seen}; about {error.needed:,} would do: {MORE_TEXTS}, or raise the limit"


def _listed(route: Route, thresholds: dict[str, float]) -> tuple[float, ...]:
    for name in thresholds:
        if name not in route.exits:
            known = ", ".join(route.exits)
            raise ObjectiveError(
                ("objective", "thresholds", name), f"no such exit; this bundle has: {known}"
            )
    return tuple(thresholds.get(name, NEVER) for name in route.exits)
