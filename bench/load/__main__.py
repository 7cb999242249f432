"""Load on the real services: throughput, latency, goodput, processor time per request.

Starts router and tiers with a bundle (or takes a router that runs, --address, whose processor time
and memory are not known then), sends real texts and sums up what came of each. In an open loop
texts are sent at times drawn beforehand, however long answers take, and latency counts from the
intended time: a stall counts for everyone who would have called in it. In a closed loop so many
callers wait for their answer before they send the next text.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench import options as shared
from bench.load.arrivals import SHAPES, Times, recorded
from bench.load.generator import Ask, Generator, Sent
from bench.load.summary import Summary, summarise
from bench.load.texts import labelled_texts
from bench.load.usage import Usage, spent, usage
from bench.services import running
from offramp.client import AsyncClient, Override
from offramp.client.connection import Retries

EXAMPLES = """\
examples:
  python -m bench.load --data dev.tsv --rate 200
  python -m bench.load --data dev.tsv --rate 200 --shape bursts --objective-ms 50
  python -m bench.load --data dev.tsv --trace arrivals.txt
  python -m bench.load --data dev.tsv --in-flight 64 --full-depth

The last line is one JSON object.
"""
WARM_UP_TEXTS = 64
# A refused text is counted, not sent again.
NO_RETRIES = Retries(attempts=1)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for. Without `in_flight` it is an open loop."""

    data: Path
    bundle: Path
    address: str | None
    rate: float
    shape: str
    trace: Path | None
    in_flight: int | None
    seconds: float
    objective_ms: float
    timeout: float
    full_depth: bool
    seed: int


async def measure(options: Options) -> dict[str, Any]:
    """One run; the figures of the last line."""
    texts, labels = labelled_texts(options.data, options.bundle, options.seed)
    override = Override(full_depth=True) if options.full_depth else None
    async with _router(options) as (client, metrics):

        def ask(text: str) -> Any:
            return client.classify(text, override=override, timeout=options.timeout)

        await asyncio.gather(*(ask(text) for text in texts[:WARM_UP_TEXTS]))
        before = await usage(metrics)
        found = await _run(ask, texts, options)
        after = await usage(metrics)
    summary = summarise(found, labels, options.objective_ms / 1000)
    return {
        "loop": "open" if options.in_flight is None else "closed",
        "asked": {key: str(v) if isinstance(v, Path) else v for key, v in asdict(options).items()},
        **asdict(summary),
        "processes": _processes(before, after, summary),
    }


async def _run(ask: Ask, texts: list[str], options: Options) -> list[Sent]:
    generator = Generator(ask, texts)
    if options.in_flight is not None:
        return await generator.closed_loop(options.in_flight, options.seconds)
    return await generator.open_loop(_times(options))


def _times(options: Options) -> Times:
    if options.trace is not None:
        return recorded(options.trace, options.rate or None, options.seconds)
    rng = np.random.default_rng(options.seed)
    return SHAPES[options.shape](options.rate, options.seconds, rng)


@asynccontextmanager
async def _router(options: Options) -> AsyncIterator[tuple[AsyncClient, Mapping[str, str]]]:
    """A client without retries, and the metrics address of each process that is known."""
    if options.address is not None:
        async with AsyncClient(options.address, retries=NO_RETRIES) as client:
            yield client, {}
        return
    async with running(options.bundle, retries=NO_RETRIES) as services:
        yield services.client, services.pages


def _processes(
    before: Mapping[str, Usage], after: Mapping[str, Usage], summary: Summary
) -> dict[str, dict[str, float]]:
    """By process: processor milliseconds per answer, and memory at the end."""
    return {
        name: {"cpu_ms_per_answer": cpu_ms, "memory_mb": after[name].memory_bytes / 1e6}
        for name, cpu_ms in spent(before, after, summary.answered).items()
    }


def show(figures: Mapping[str, Any], console: Console) -> None:
    """The figures for people."""
    accuracy = figures["accuracy"]
    table = Table(
        "figure", "value", title=f"{figures['loop']} loop, {figures['sent']:,} texts sent"
    )
    table.add_row("answers per second", f"{figures['throughput']:.1f}")
    table.add_row(
        f"within {figures['asked']['objective_ms']:g} ms, per second", f"{figures['goodput']:.1f}"
    )
    for name, seconds in figures["latency"].items():
        table.add_row(f"latency {name}", f"{1000 * seconds:.1f} ms")
    table.add_row("accuracy", "–" if accuracy is None else f"{accuracy:.4f}")
    for name, share in figures["exits"].items():
        table.add_row(f"answered at {name}", f"{share:.1%}")
    for reason, count in figures["errors"].items():
        table.add_row(f"refused: {reason}", f"{count:,}")
    for name, process in figures["processes"].items():
        said = f"{process['cpu_ms_per_answer']:.3f} ms per answer, {process['memory_mb']:.0f} MB"
        table.add_row(f"processor time of {name}", said)
    table.add_row("generator behind by at most", f"{1000 * figures['late']:.1f} ms")
    console.print(table)


def parse() -> Options:
    """Read the command line."""
    parser = shared.serving_parser(__doc__, EXAMPLES)
    add = parser.add_argument
    add("--address", metavar="HOST:PORT", help="a router that runs, instead of starting one")
    add("--rate", type=float, default=0.0, help="texts a second, on average (default: 100)")
    add("--shape", choices=sorted(SHAPES), default="poisson", help="of the arrivals (poisson)")
    add(
        "--trace",
        type=Path,
        metavar="FILE",
        help="recorded arrivals, a time in seconds a line, again if short; --rate: at that pace",
    )
    add("--in-flight", type=int, metavar="N", help="closed loop with so many callers instead")
    add("--seconds", type=float, default=30.0, help="how long texts are sent (default: 30)")
    add("--objective-ms", type=float, default=100.0, help="what an answer may take (default: 100)")
    add("--timeout", type=float, default=10.0, help="deadline of a call in seconds (default: 10)")
    add("--full-depth", action="store_true", help="ask for full depth: the model without exits")
    add("--seed", type=int, default=0, help="of the order of the texts and of the arrivals")
    found = parser.parse_args()
    if not found.rate and found.trace is None:
        found.rate = 100.0
    return Options(**vars(found))


def main() -> None:
    """Run, show, and end with one JSON object."""
    figures = asyncio.run(measure(parse()))
    show(figures, Console())
    print(json.dumps(figures))


if __name__ == "__main__":
    shared.run(main)
