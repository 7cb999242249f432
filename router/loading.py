"""Loading: a config file's text, checked whole against the bundles, as policies ready to serve."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from offramp import config
from router.config import PolicySettings, RouterSettings
from router.objective import ObjectiveError, Solution, solve
from router.route import Route, load_route


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that could be put in force."""

    settings: RouterSettings
    solutions: Mapping[str, Solution]
    hash: str


def content_hash(text: str) -> str:
    """What identifies a config's text in metrics and status."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def parse_settings(text: str, source: str) -> RouterSettings:
    """Validate a config by itself: shape, bounds, and that routes name tiers that exist.

    Raises ConfigError.
    """
    settings = config.parse(text, RouterSettings, source)
    for name, route in settings.routes.items():
        for index, tier in enumerate(route.tiers):
            if tier not in settings.tiers:
                known = ", ".join(settings.tiers)
                raise config.mistake(
                    text,
                    source,
                    ("routes", name, "tiers", index),
                    f"no tier {tier!r}; `tiers` has: {known}",
                )
    return settings


def load_routes(settings: RouterSettings) -> dict[str, Route]:
    """Read the bundle of every route. Raises BundleError."""
    return {
        name: load_route(
            name, route.bundle, {tier: settings.tier_in_bundle(tier) for tier in route.tiers}
        )
        for name, route in settings.routes.items()
    }


def prepare(
    text: str, source: str, routes: Mapping[str, Route], solved: Iterable[Solution] = ()
) -> Candidate:
    """Parse a config and solve the policies of the `routes` it has.

    What is among `solved` is not solved again. Call from a thread. Raises ConfigError.
    """
    settings = parse_settings(text, source)
    solved = tuple(solved)
    solutions = {
        name: _solution(text, source, routes[name], route.policy, solved)
        for name, route in settings.routes.items()
        if name in routes
    }
    return Candidate(settings, solutions, content_hash(text))


def _solution(
    text: str,
    source: str,
    route: Route,
    policy: PolicySettings,
    solved: tuple[Solution, ...],
) -> Solution:
    for solution in solved:
        if solution.route == route.name and solution.settings == policy:
            return solution
    try:
        return solve(route, policy)
    except ObjectiveError as error:
        path = ("routes", route.name, "policy", *error.key)
        raise config.mistake(text, source, path, error.problem) from None


def solve_text(text: str, route: Route) -> Solution:
    """Solve a policy given by itself, as YAML. Call from a thread. Raises ConfigError."""
    settings = config.parse(text, PolicySettings, "yaml")
    try:
        return solve(route, settings)
    except ObjectiveError as error:
        raise config.mistake(text, "yaml", error.key, error.problem) from None
