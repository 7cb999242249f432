"""`offramp config`: config files, looked over before they are put in place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from router.objective import Solution

config = typer.Typer(
    no_args_is_help=True,
    help="Check config files.",
    epilog="Example: `offramp config check deploy/config/router.yaml`",
)


@config.callback()
def _config() -> None:
    """Check config files."""


@config.command()
def check(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE…", exists=True, help="Config files, or folders of them."),
    ],
) -> None:
    """Read config files as the services would, and say what is wrong: file, line, key, remedy.

    A route's policy is also tried on its bundle, where the bundle is on this machine.

    Exit code 0: all are good. 1: at least one is not.

    Example: `offramp config check deploy/config`
    """
    from offramp.errors import OfframpError

    failed = False
    for path in _expanded(files):
        try:
            typer.echo(f"{path}: {_checked(path)}")
        except OfframpError as error:
            failed = True
            typer.echo(str(error))
    if failed:
        raise typer.Exit(1)


def _expanded(paths: list[Path]) -> list[Path]:
    found = []
    for path in paths:
        found += sorted(path.glob("*.y*ml")) if path.is_dir() else [path]
    if not found:
        raise typer.BadParameter("no .yaml files in this folder")
    return found


def _checked(path: Path) -> str:
    """What a good file is; raises the OfframpError of one that is not."""
    from offramp.config import load
    from services.settings import TierSettings

    if _is_router(path):
        return f"good router config; {_policies(path)}"
    return f"good tier config; {_presence(load(path, TierSettings).bundle)}"


def _is_router(path: Path) -> bool:
    """Whether a file is meant for the router; one that is neither is held against a tier's keys."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return True  # Unreadable either way: the error is the same.
    return isinstance(content, dict) and bool({"routes", "tiers", "limits"} & content.keys())


def _presence(bundle: Path) -> str:
    if not bundle.is_dir():
        return f"bundle {bundle} is not on this machine, and was not looked at"
    from offramp.bundle import read_manifest

    manifest = read_manifest(bundle)
    return f"bundle {manifest.name} {manifest.id}"


def _policies(path: Path) -> str:
    """What each route's policy comes to on its bundle, where that is here."""
    from offramp.config import read
    from router.loading import parse_settings, prepare
    from router.route import load_route

    text = read(path)
    settings = parse_settings(text, str(path))
    here = {
        name: load_route(name, route.bundle, {t: settings.tier_in_bundle(t) for t in route.tiers})
        for name, route in settings.routes.items()
        if route.bundle.is_dir()
    }
    solutions = prepare(text, str(path), here).solutions
    said = [_comes_to(solution) for solution in solutions.values()]
    absent = [r.bundle for name, r in settings.routes.items() if name not in here]
    return "; ".join(said + [_presence(bundle) for bundle in absent])


def _comes_to(solution: Solution) -> str:
    forecast, guarantee = solution.forecast, solution.guarantee
    said = (
        f"{solution.route}: forecast accuracy {forecast.accuracy:.3f} "
        f"at speedup {forecast.speedup:.1f}x"
    )
    return said if guarantee is None else f"{said}, guarantee: {guarantee}"
