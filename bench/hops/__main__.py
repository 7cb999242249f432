"""What gRPC in Python costs where nothing else is done: grpc.aio's server beside ours.

Each server is a process of its own and answers at once, with as many bytes as an answer of the
router has. They are asked in turns, by calls of one message and by streams on which a message
follows the answer to the last one. Processor time of the server alone.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import grpc

from bench import engine
from bench import options as shared
from bench.hops.serve import SERVERS, SERVICE
from bench.publishing import Part, Table
from training import progress

EXAMPLES = """\
examples:
  python -m bench.hops
  python -m bench.hops --in-flight 64 --rounds 9

Tables are printed and land in OUT/engine.md and OUT/engine.json. The last line is one JSON object.
"""
REQUEST = bytes(150)
TITLE = "A bare call"
NOTE = (
    "Microseconds of the server's processor time per call, or per message of a stream, that is "
    "answered at once; medians of the rounds, with the least and the most."
)

# Begins to ask: what is called again and again by one caller until the time is up.
Begin: TypeAlias = Callable[[Any], Callable[[], Awaitable[Any]]]


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    in_flight: tuple[int, ...]
    rounds: int
    seconds: float
    out: Path


def _calls(channel: Any) -> Callable[[], Awaitable[Any]]:
    method = channel.unary_unary(f"/{SERVICE}/call")
    return lambda: method(REQUEST)


def _messages(channel: Any) -> Callable[[], Awaitable[Any]]:
    stream = channel.stream_stream(f"/{SERVICE}/stream")()

    async def ask() -> None:
        await stream.write(REQUEST)
        await stream.read()

    return ask


WAYS: dict[str, Begin] = {"call": _calls, "message of a stream": _messages}
Measured: TypeAlias = dict[tuple[str, int, str], list[float]]


async def measure(options: Options, ports: Mapping[str, int]) -> Measured:
    """Microseconds per call, by way of asking, number in flight and server."""
    found: Measured = {}
    turns = (options.rounds + 1) * len(WAYS) * len(options.in_flight) * len(SERVERS)
    with progress.step("turns", turns) as bar:
        for number in range(options.rounds + 1):
            for way, in_flight in ((way, n) for way in WAYS for n in options.in_flight):
                for name in list(SERVERS)[:: -1 if number % 2 else 1]:
                    spent = await _turn(ports[name], WAYS[way], in_flight, options.seconds)
                    if number:  # the first one warms up
                        found.setdefault((way, in_flight, name), []).append(spent)
                    bar.advance(f"{name}, {way}, {in_flight} in flight")
    return found


async def _turn(port: int, begin: Begin, in_flight: int, seconds: float) -> float:
    opened: Any = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    async with opened as channel:
        spent = channel.unary_unary(f"/{SERVICE}/spent")
        answered = 0
        before = float(await spent(b""))
        until = time.monotonic() + seconds

        async def caller() -> None:
            nonlocal answered
            ask = begin(channel)
            while time.monotonic() < until:
                await ask()
                answered += 1

        await asyncio.gather(*(caller() for _ in range(in_flight)))
        return 1e6 * (float(await spent(b"")) - before) / answered


@contextmanager
def running() -> Iterator[Mapping[str, int]]:
    """All servers, each in a process of its own; their ports by name."""
    with ExitStack() as stack:
        ports = {}
        for name in SERVERS:
            command = (sys.executable, "-m", "bench.hops.serve", name)
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
            stack.callback(process.kill)
            if process.stdout is not None:
                ports[name] = int(process.stdout.readline())
        yield ports


def part(found: Measured) -> Part:
    """A row per way of asking and number in flight, a column per server."""
    cases = dict.fromkeys((way, in_flight) for way, in_flight, _ in found)
    rows = [
        (way, f"{in_flight:,}", *(_shown(found[way, in_flight, name]) for name in SERVERS))
        for way, in_flight in cases
    ]
    columns = ("asked by", "in flight", *(f"{name} µs" for name in SERVERS))
    figures = [
        {"way": way, "in_flight": in_flight, "server": name, "microseconds": rounds}
        for (way, in_flight, name), rounds in found.items()
    ]
    return Part({"hops": figures}, [Table(TITLE, columns, rows, NOTE)])


def _shown(rounds: Sequence[float]) -> str:
    return f"{median(rounds):.0f} ({min(rounds):.0f} to {max(rounds):.0f})"


def parse() -> Options:
    """Read the command line."""
    parser = shared.plain_parser(__doc__, EXAMPLES)
    add = parser.add_argument
    shared.add_in_flight(parser, 1, 64, 512)
    add("--rounds", type=int, default=5, metavar="N", help="turns of each (default: 5)")
    add("--seconds", type=float, default=1.5, help="of every turn (default: 1.5)")
    shared.add_out(parser)
    return Options(**vars(parser.parse_args()))


def main() -> None:
    """Run, show, and end with one JSON object."""
    options = parse()
    with running() as ports:
        found = asyncio.run(measure(options, ports))
    engine.publish("hops", {"bare": part(found)}, options.out)


if __name__ == "__main__":
    shared.run(main)
