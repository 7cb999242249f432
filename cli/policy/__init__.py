"""`offramp policy`: the dial of a route, read, tried and turned."""

from __future__ import annotations

import typer

from cli.policy.change import change
from cli.policy.check import check
from cli.policy.show import show

policy = typer.Typer(
    no_args_is_help=True,
    help="Show, try and change the policy of a route.",
    epilog="Example: `offramp policy set --objective 'speedup: 8' --ttl 10m`",
)


@policy.callback()
def _policy() -> None:
    """Show, try and change the policy of a route."""


policy.command("show")(show)
policy.command("set")(change)
policy.command("check")(check)
