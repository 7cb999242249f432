"""What serving costs: the page that `bench.floor`, `bench.load.tables` and `bench.peers` share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench import publishing
from bench.publishing import Part

ABOUT = """\
What it costs to serve a cascade, on the wall clock and in processor time: the real services, as
`offramp up` starts them, on one machine with whatever sends the texts.

- `python -m bench.peers`: beside the servers that a user would pick instead;
- `python -m bench.floor`: beside the compute of just the stages that texts had to run;
- `python -m bench.load.tables`: goodput, many in flight and how soon health, metrics and refusals
  come meanwhile, ways to ask, an idle service, memory;
- `python -m bench.hops`: a call that does nothing, beside grpc.aio's server.

Peers, goodput, ways to ask, the idle service and bare calls were measured in turns, so that a
machine that is busier for a while is so for all; other figures one after the other. Nothing was
measured on a GPU: there was none. What was asked of these figures, and which of them fall short,
is in [architecture.md](../../docs/architecture.md#asked-and-measured)."""


def publish(command: str, parts: Mapping[str, Part], out: Path) -> None:
    """Put a command's parts beside those of the others, and show them."""
    named = {f"{command}: {name}": part for name, part in parts.items()}
    publishing.publish("engine", ABOUT, named, out, heading="The stage engine")
