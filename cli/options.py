"""Options that several verbs share, and the client they come to."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from offramp.client import Client
    from offramp.decision.confidence import Measure


class Precision(StrEnum):
    """What a tier computes in."""

    FP32 = "fp32"
    BF16 = "bf16"
    INT8 = "int8"


MeasureName = Annotated[
    str,
    typer.Option(
        "--confidence", metavar="NAME", help="`max_prob`, `margin`, `entropy` or `learned`."
    ),
]
ComputePrecision = Annotated[
    Precision, typer.Option(help="What the models compute in; needs evidence in it.")
]

DEFAULT_ADDRESS = "localhost:50051"

Address = Annotated[
    str,
    typer.Option(
        "--address",
        "-a",
        envvar="OFFRAMP_ADDRESS",
        metavar="HOST:PORT",
        help="Where the router is.",
    ),
]
Route = Annotated[
    str,
    typer.Option(
        "--route", "-r", metavar="NAME", help="The route; not needed where there is just one."
    ),
]
CertificateAuthority = Annotated[
    Path | None,
    typer.Option(
        "--ca", metavar="FILE", help="Use TLS, and trust the certificates in this PEM file."
    ),
]


def connect(address: str, route: str, ca: Path | None) -> Client:
    """A client of the router at `address`; to be closed by the caller."""
    from offramp.client import Client, Tls

    return Client(address, route=route, tls=Tls(ca=ca) if ca else None)


def measure_named(name: str) -> Measure:
    """The measure of confidence of that name; a usage error with the known ones otherwise."""
    from offramp.decision.confidence import Measure

    try:
        return Measure(name)
    except ValueError:
        known = ", ".join(Measure)
        raise typer.BadParameter(f"no confidence measure {name!r}; there is: {known}") from None
