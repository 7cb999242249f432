"""`offramp policy check`: what a policy would come to, without changing anything."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DEFAULT_ADDRESS, Address, CertificateAuthority, Route, connect
from cli.policy import wanted

if TYPE_CHECKING:
    from offramp.decision.confidence import Measure
    from router.route import Route as LoadedRoute
    from training.figures import DialPoint

DIAL_SETTINGS = 12
DEFAULT_POLICY = "objective: {expected_loss: 0}"


def check(
    *,
    objective: wanted.Objective = None,
    confidence: wanted.Measure = None,
    file: wanted.PolicyFile = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Work on this bundle, with no router running, and print the whole dial.",
        ),
    ] = None,
    route: Route = "",
    address: Address = DEFAULT_ADDRESS,
    ca: CertificateAuthority = None,
) -> None:
    """Forecast a policy from the bundle's evidence. Changes nothing.

    With --bundle it needs no router, and prints the dial: a row per setting of one number, with
    the thresholds it gives and what they come to.

    Examples:

    - `offramp policy check --objective 'speedup: 8'`

    - `offramp policy check --bundle bundles/sentiment`
    """
    if bundle is not None:
        _offline(bundle, objective, confidence, file)
        return
    from rich.console import Console

    from cli.policy import tables

    with connect(address, route, ca) as client:
        now = client.admin.policy()
        policy = wanted.changed(now.yaml, objective, confidence, file)
        checked = client.admin.check_policy(policy, now.route)
    columns = {"in force": now.forecast, "checked": checked.forecast}
    tables.show(Console(), checked.thresholds, columns, checked.guarantee)


def _offline(
    bundle: Path, objective: str | None, confidence: str | None, file: Path | None
) -> None:
    from rich.console import Console

    from cli.policy import tables
    from offramp.bundle import read_manifest
    from offramp.decision.confidence import Measure
    from router.route import load_route

    manifest = read_manifest(bundle)
    loaded = load_route(manifest.name, bundle, {tier.name: tier.name for tier in manifest.tiers})
    console = Console()
    measure = Measure.MAX_PROB
    if objective or confidence or file:
        measure = _print_forecast(
            loaded, wanted.changed(DEFAULT_POLICY, objective, confidence, file)
        )
    examples = len(loaded.evidence.labels)
    typer.echo(
        f"the dial of bundle {manifest.name} ({manifest.id}), forecast on {examples} texts, "
        f"confidence {measure}; speedup over full depth with no small tier:\n"
    )
    console.print(tables.dial(_dial(loaded, measure)))


def _print_forecast(loaded: LoadedRoute, policy: dict[str, object]) -> Measure:
    """Print what a policy comes to; return its measure of confidence."""
    import yaml
    from rich.console import Console

    from cli.policy import tables
    from offramp.config import parse
    from router.config import PolicySettings
    from router.objective import solve

    settings = parse(yaml.safe_dump(policy), PolicySettings, "policy")
    solution = solve(loaded, settings)
    thresholds = dict(zip(loaded.exits, solution.thresholds, strict=True))
    columns = {"forecast": solution.forecast}
    tables.show(Console(), thresholds, columns, solution.guarantee)
    typer.echo("")
    return settings.confidence


def _dial(loaded: LoadedRoute, measure: Measure) -> tuple[DialPoint, ...]:
    """Settings from full depth to the cheapest that the cascade can do.

    Those where the outcome changes; where these are few, round the table up with some between.
    """
    from training.figures import dial

    speedups = [point.forecast.speedup for point in loaded.frontier(measure).points]
    settings = {_floor(speedup) for speedup in speedups if speedup >= 1}
    if len(settings) < DIAL_SETTINGS:
        steps = range(DIAL_SETTINGS)
        settings |= {_floor(speedups[-1] ** (step / (DIAL_SETTINGS - 1))) for step in steps}
    evidence = loaded.evidence
    return dial(evidence, evidence, measure, _spread(sorted(settings)))


def _floor(speedup: float) -> float:
    """Two decimals, and never more than can be had."""
    return math.floor(speedup * 100) / 100


def _spread(speedups: list[float]) -> list[float]:
    """Some of the speedups, in about equal ratios from the first to the last."""
    if len(speedups) <= DIAL_SETTINGS:
        return speedups
    chosen, ratio = [speedups[0]], speedups[-1] / speedups[0]
    for step in range(1, DIAL_SETTINGS):
        wanted = speedups[0] * ratio ** (step / (DIAL_SETTINGS - 1))
        # Enough must be left for the steps to come, so that the table has all its rows.
        last = len(speedups) - (DIAL_SETTINGS - 1 - step)
        candidates = speedups[speedups.index(chosen[-1]) + 1 : last]
        chosen.append(min(candidates, key=lambda speedup: abs(speedup - wanted)))
    return chosen
