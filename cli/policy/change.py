"""`offramp policy set`: another policy, in force at once."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import DEFAULT_ADDRESS, Address, CertificateAuthority, Route, connect
from cli.policy import wanted


def change(
    *,
    objective: wanted.Objective = None,
    confidence: wanted.Measure = None,
    file: wanted.PolicyFile = None,
    ttl: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Go back to the config file's policy after this time: 90s, 10m, 1h30m. "
            "Without it, until the next change.",
        ),
    ] = None,
    route: Route = "",
    address: Address = DEFAULT_ADDRESS,
    ca: CertificateAuthority = None,
) -> None:
    """Put another policy in force on a running router. Nothing is written to its config file.

    What no option names stays as it is; a --file replaces the policy whole.

    Examples:

    - `offramp policy set --objective 'speedup: 8'`

    - `offramp policy set --objective 'thresholds: {small: 0.95}' --ttl 10m`
    """
    from rich.console import Console

    from cli.policy import tables

    time = wanted.duration(ttl) if ttl else None
    with connect(address, route, ca) as client:
        before = client.admin.policy()
        policy = wanted.changed(before.yaml, objective, confidence, file)
        after = client.admin.set_policy(policy, before.route, ttl=time)
    until = f" until {after.expires_at.astimezone():%H:%M:%S}" if after.expires_at else ""
    typer.echo(f"route {after.route}: policy version {after.version} is in force{until}\n")
    columns = {"before": before.forecast, "now": after.forecast}
    tables.show(Console(), after.thresholds, columns, after.guarantee)
