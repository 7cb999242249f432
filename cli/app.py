"""The command as a whole: its verbs, its version, and what an error looks like."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.calibrate import calibrate
from cli.classify import classify
from cli.config import config
from cli.evaluate import evaluate
from cli.export import export
from cli.guard import SentenceGroup
from cli.policy import policy
from cli.report import report
from cli.train import train
from cli.up import up

app = typer.Typer(
    name="offramp",
    cls=SentenceGroup,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    epilog='Example: `offramp up`, then in another terminal `offramp classify "a gorgeous film"`',
)
app.command()(up)
app.command()(classify)
app.add_typer(policy, name="policy")
app.add_typer(config, name="config")
app.command()(train)
app.command()(calibrate)
app.command()(export)
app.command()(evaluate)
app.command()(report)


def _print_version(wanted: bool) -> None:
    if wanted:
        from offramp import __version__

        typer.echo(f"offramp {__version__}")
        raise typer.Exit


@app.callback()
def offramp(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the trace of an error, not just its sentence.")
    ] = False,
) -> None:
    """Serve a text classifier at a fraction of its cost: texts leave at the first sure exit."""
    context.obj = {"debug": debug}
