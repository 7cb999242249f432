"""`offramp up`: the whole suite on this machine, until Ctrl-C."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_BUNDLE = Path("bundles/sentiment")


def up(
    *,
    bundle: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="What to serve.",
            show_default="bundles/sentiment",
        ),
    ] = None,
    config_dir: Annotated[
        Path,
        typer.Option(file_okay=False, help="Where the config files are, or are to be written."),
    ] = Path(".offramp/config"),
    host: Annotated[
        str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_000,
            help="The router's port. 0: any that is free.",
            show_default="50051",
        ),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_000,
            help="The router's metrics page, the tiers' after it. 0: any that are free.",
            show_default="9464",
        ),
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Classify a few sentences as soon as all is ready.")
    ] = False,
) -> None:
    """Run the router and its tiers as processes on this machine, until Ctrl-C.

    Writes config files on the first run; edit the router's while it runs and see traffic move. A
    file that you have edited is never written again.

    A service that does not come up ends the command with exit code 1 and shows its last log lines;
    one that dies later is started again. Ctrl-C (or SIGTERM) lets calls in flight end, then stops
    with exit code 0; a second Ctrl-C stops at once.

    Examples:

    - `offramp up`

    - `offramp up --bundle bundles/reviews --config-dir reviews --port 6000 --metrics-port 7000`
    """
    import asyncio

    from cli.launch.running import run
    from cli.launch.workspace import Wishes, prepare

    wishes = Wishes(bundle, host, port, metrics_port)
    workspace = prepare(config_dir.resolve(), wishes, _default_bundle())
    raise typer.Exit(asyncio.run(run(workspace, demo)))


def _default_bundle() -> Path:
    """The bundle that ships, seen from here or from where the sources are."""
    beside_sources = Path(__file__).resolve().parent.parent / DEFAULT_BUNDLE
    return DEFAULT_BUNDLE if DEFAULT_BUNDLE.is_dir() else beside_sources
