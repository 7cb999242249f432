"""`offramp export`: a bundle's stages for OpenVINO."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", exists=True, file_okay=False, help="A bundle.")
    ],
    *,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Make stages anew that an older version exported; those in int8 stay as they are.",
        ),
    ] = False,
) -> None:
    """Add the stages that OpenVINO runs: on a CPU often faster, and without PyTorch.

    Only graphs are added: the weights are those that the bundle has. Every stage is checked against
    PyTorch's. `offramp train` does this by itself; a bundle of an older version, or one trained
    with `--no-export`, can be brought up to it here. The bundle gets a new id: restart its tiers
    and routers.

    Examples:

    - `offramp export bundles/reviews`

    - `offramp export bundles/reviews --again`
    """
    from training.export import run

    manifest = run(bundle, again=again)
    typer.echo(f"{bundle} is bundle {manifest.id} now; restart its tiers and routers")
