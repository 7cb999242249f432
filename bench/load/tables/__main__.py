"""Tables of load on the real services: goodput, many in flight, ways to ask, idle, memory.

goodput:   answers within the objective as ever more texts arrive, beside full depth (4 minutes)
in-flight: cost per answer and rows to a batch from 1 to 2,000 texts in flight; how soon health
           and metrics are answered meanwhile, and texts refused that are too many (2 minutes)
calls:     a call per text, one stream, or calls of many texts (3 minutes)
idle:      latency of a text alone, beside its stages called directly (seconds)
memory:    of every process over 200,000 answers (as long as they take)

Starts router and tiers with a bundle, sends real texts from the same machine.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from bench import engine
from bench import options as shared
from bench.load.tables import calls, goodput, idle, in_flight, memory
from bench.load.tables.setting import Setting
from bench.load.texts import labelled_texts
from bench.publishing import Part
from bench.services import running
from offramp.bundle import read_manifest
from offramp.client.connection import Retries
from offramp.rpc.serving import collect_rarely

EXAMPLES = """\
examples:
  python -m bench.load.tables --data dev.tsv
  python -m bench.load.tables --data dev.tsv --only goodput,idle
  python -m bench.load.tables --data dev.tsv --only memory --requests 20000

Tables are printed and land in OUT/engine.md and OUT/engine.json, each as soon as it is there.
"""
WARM_UP_TEXTS = 64


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    data: Path
    bundle: Path
    only: tuple[str, ...]
    seconds: float
    objective_ms: float
    multiples: tuple[float, ...]
    in_flight: tuple[int, ...]
    calls_in_flight: tuple[int, ...]
    crowd: int
    requests: int
    seed: int
    out: Path


TABLES: dict[str, Callable[[Setting, Options], Awaitable[Part]]] = {
    "idle": lambda setting, _: idle.measure(setting),
    "goodput": lambda setting, o: goodput.measure(setting, o.seconds, o.multiples),
    "in-flight": lambda setting, o: in_flight.measure(setting, o.seconds, o.in_flight, o.crowd),
    "calls": lambda setting, o: calls.measure(setting, o.seconds, o.calls_in_flight),
    "memory": lambda setting, o: memory.measure(setting, o.requests),
}


async def measure(options: Options) -> None:
    """All tables asked for, on services that are started once."""
    texts, labels = labelled_texts(options.data, options.bundle, options.seed)
    name = read_manifest(options.bundle).name
    # What is refused is counted, not sent again.
    async with running(options.bundle, retries=Retries(attempts=1)) as services:
        await asyncio.gather(*(services.client.classify(text) for text in texts[:WARM_UP_TEXTS]))
        objective = options.objective_ms / 1000
        setting = Setting(name, options.bundle, services, texts, labels, objective, options.seed)
        for wanted in options.only:
            found = await TABLES[wanted](setting, options)
            engine.publish(f"load, {wanted}", {name: found}, options.out)


def parse() -> Options:
    """Read the command line."""
    parser = shared.serving_parser(__doc__, EXAMPLES)
    add = parser.add_argument
    add(
        "--only",
        type=shared.names_of("table", TABLES),
        default=tuple(TABLES),
        metavar="NAME,…",
        help=", ".join(TABLES),
    )
    add("--seconds", type=float, default=10.0, help="of each run (default: 10)")
    add("--objective-ms", type=float, default=100.0, help="what an answer may take (default: 100)")
    add(
        "--multiples",
        type=_numbers(float),
        default=goodput.MULTIPLES,
        metavar="N,…",
        help="rates of arrival for goodput, in what full depth can answer",
    )
    add(
        "--in-flight",
        type=_numbers(int),
        default=in_flight.LEVELS,
        metavar="N,…",
        help="callers of each run (default: 1 to 2,000)",
    )
    add(
        "--calls-in-flight",
        type=_numbers(int),
        default=calls.IN_FLIGHT,
        metavar="N,…",
        help="texts in flight for the ways to ask (default: 64,1024)",
    )
    add(
        "--crowd",
        type=_positive,
        default=in_flight.CROWD,
        metavar="N",
        help=f"callers, twice as many as are taken ({in_flight.CROWD:,})",
    )
    add("--requests", type=_positive, default=200_000, metavar="N", help="for memory (200,000)")
    add("--seed", type=int, default=0, help="of the order of the texts and of the arrivals")
    shared.add_out(parser)
    return Options(**vars(parser.parse_args()))


def _positive(value: str) -> int:
    (found,) = _numbers(int)(value)
    return int(found)


def _numbers(kind: type[int] | type[float]) -> Callable[[str], tuple[float, ...]]:
    def read(value: str) -> tuple[float, ...]:
        try:
            found = tuple(kind(number) for number in value.split(","))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{value!r}: numbers are wanted, as 1,8,64") from None
        if not found or min(found) <= 0:
            raise argparse.ArgumentTypeError(f"{value!r}: each must be above 0")
        return found

    return read


def main() -> None:
    """Run all of it."""
    options = parse()
    collect_rarely()  # a collection holds up the sender, which would be taken for latency
    asyncio.run(measure(options))


if __name__ == "__main__":
    shared.run(main)
