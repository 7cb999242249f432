"""`offramp policy show`: the policy in force, what was forecast of it, and what it does."""

from __future__ import annotations

import typer

from cli.options import DEFAULT_ADDRESS, Address, CertificateAuthority, Route, connect


def show(
    route: Route = "",
    address: Address = DEFAULT_ADDRESS,
    ca: CertificateAuthority = None,
) -> None:
    """Show a route's policy: thresholds, the forecast from evidence, and the live figures.

    Example: `offramp policy show`
    """
    from rich.console import Console

    from cli.policy import tables

    with connect(address, route, ca) as client:
        policy = client.admin.policy()
        status = client.admin.status()
        routes = {route.route: route for route in status.routes}
    live = routes.get(policy.route)
    origin = policy.source
    if policy.expires_at:
        origin += f", until {policy.expires_at.astimezone():%Y-%m-%d %H:%M:%S}"
    typer.echo(f"route {policy.route} · policy version {policy.version} (from {origin})")
    if live:
        typer.echo(f"bundle {live.bundle_id}")
    if status.workers > 1:
        typer.echo(f"live figures: those of worker {status.worker} of {status.workers}")
    typer.echo("")
    typer.echo(f"{policy.yaml.rstrip()}\n")
    columns = {"forecast": policy.forecast}
    tables.show(Console(), policy.thresholds, columns, policy.guarantee, live)
