"""Checkouts of this project side by side: what a change costs or saves per answer.

Router and tiers of every checkout run at the same time with the same bundle, and are loaded in
turns, in every round the other way around: other work on the machine, which makes one run differ
from the next by a tenth and more, then meets all of them. Compare the medians of some rounds.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import options as shared
from bench import publishing
from bench.load.generator import Generator
from bench.load.summary import summarise
from bench.load.texts import labelled_texts
from bench.load.usage import batch_sizes, spent, usage
from bench.services import Services, running
from offramp.client.connection import Retries
from offramp.errors import OfframpError
from training import progress

EXAMPLES = """\
examples:
  git worktree add ../before HEAD~1
  python -m bench.revisions --data dev.tsv --trees ../before,.
  python -m bench.revisions --data dev.tsv --trees ../before,. --in-flight 1,64,2000 --rounds 8

The last line is one JSON object.
"""
WARM_UP_SECONDS, WARM_UP_IN_FLIGHT = 3.0, 32
TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    data: Path
    bundle: Path
    trees: tuple[Path, ...]
    in_flight: tuple[int, ...]
    rounds: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Turn:
    """One checkout under load, once.

    cpu_ms: per answer, by process.  rows: of a batch, by stage.
    """

    cpu_ms: Mapping[str, float]
    rows: Mapping[str, float]
    p50_ms: float
    errors: int

    @property
    def all_ms(self) -> float:
        """Processor milliseconds per answer, of all processes."""
        return sum(self.cpu_ms.values())


Turns = Mapping[tuple[int, Path], Sequence[Turn]]


async def measure(options: Options) -> Turns:
    """All turns, by number in flight and checkout."""
    texts, labels = labelled_texts(options.data, options.bundle, seed=0)
    found: dict[tuple[int, Path], list[Turn]] = {}
    async with _all_running(options) as services:
        for each in services.values():
            generator = Generator(_ask(each), texts)
            await generator.closed_loop(WARM_UP_IN_FLIGHT, WARM_UP_SECONDS)
        turns = options.rounds * len(options.in_flight) * len(options.trees)
        with progress.step("turns", turns) as bar:
            for number in range(options.rounds):
                for in_flight in options.in_flight:
                    for tree in options.trees[:: -1 if number % 2 else 1]:
                        each = services[tree]
                        generator = Generator(_ask(each), texts)
                        turn = await _turn(each, generator, labels, in_flight, options.seconds)
                        found.setdefault((in_flight, tree), []).append(turn)
                        bar.advance(f"{tree}, {in_flight} in flight")
    return found


async def _turn(
    services: Services,
    generator: Generator[str],
    labels: Sequence[str],
    in_flight: int,
    seconds: float,
) -> Turn:
    before = await usage(services.pages)
    sent = await generator.closed_loop(in_flight, seconds)
    after = await usage(services.pages)
    summary = summarise(sent, labels, objective=TIMEOUT_SECONDS)
    return Turn(
        spent(before, after, summary.answered),
        batch_sizes(before, after),
        1000 * summary.latency.get("p50", float("nan")),
        sum(summary.errors.values()),
    )


def _ask(services: Services) -> Callable[[str], Any]:
    return lambda text: services.client.classify(text, timeout=TIMEOUT_SECONDS)


@asynccontextmanager
async def _all_running(options: Options) -> AsyncIterator[dict[Path, Services]]:
    async with AsyncExitStack() as stack:
        found = {}
        for tree in options.trees:
            with _code_from(tree):
                services = running(options.bundle.resolve(), retries=Retries(attempts=1))
                found[tree] = await stack.enter_async_context(services)
        yield found


@contextmanager
def _code_from(tree: Path) -> Iterator[None]:
    """Have processes that are started run the code of a checkout: before that of this folder."""
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", "PYTHONSAFEPATH")}
    os.environ |= {"PYTHONPATH": str(tree.resolve()), "PYTHONSAFEPATH": "1"}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def summary(turns: Turns) -> list[dict[str, Any]]:
    """Medians, one row per number in flight and checkout; `change` is against the first one."""
    found: list[dict[str, Any]] = []
    for (in_flight, tree), rounds in sorted(turns.items(), key=lambda item: item[0][0]):
        all_ms = median(turn.all_ms for turn in rounds)
        first = next((row["all_ms"] for row in found if row["in_flight"] == in_flight), all_ms)
        found.append(
            {
                "in_flight": in_flight,
                "tree": str(tree),
                "cpu_ms": _medians([turn.cpu_ms for turn in rounds]),
                "all_ms": all_ms,
                "change": all_ms / first - 1,
                "rows": _medians([turn.rows for turn in rounds]),
                "p50_ms": median(turn.p50_ms for turn in rounds),
                "errors": sum(turn.errors for turn in rounds),
                "rounds_ms": [turn.all_ms for turn in rounds],
            }
        )
    return found


def _medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for each in rounds for name in each)
    return {name: median(each.get(name, 0.0) for each in rounds) for name in names}


def show(rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """The medians for people."""
    processes = list(rows[0]["cpu_ms"])
    named = [f"{name} ms" for name in processes]
    table = Table("in flight", "checkout", *named, "all ms", "change", "rounds", "p50 ms", "errors")
    for row in rows:
        rounds = row["rounds_ms"]
        table.add_row(
            f"{row['in_flight']:,}",
            row["tree"],
            *(f"{row['cpu_ms'][name]:.2f}" for name in processes),
            f"{row['all_ms']:.2f}",
            f"{row['change']:+.0%}",
            f"{min(rounds):.2f} to {max(rounds):.2f}",
            f"{row['p50_ms']:.1f}",
            f"{row['errors']:,}",
        )
    console.print(table)


def parse() -> Options:
    """Read the command line. Raises OfframpError for what is no checkout."""
    parser = shared.serving_parser(__doc__, EXAMPLES)
    add = parser.add_argument
    add(
        "--trees",
        type=lambda written: tuple(Path(name) for name in written.split(",")),
        required=True,
        metavar="DIR,DIR",
        help="checkouts; changes are against the first",
    )
    shared.add_in_flight(parser, 64)
    add("--rounds", type=int, default=6, metavar="N", help="turns of each (default: 6)")
    add("--seconds", type=float, default=6.0, help="of every turn (default: 6)")
    options = Options(**vars(parser.parse_args()))
    for tree in options.trees:
        if not (tree / "router" / "__main__.py").is_file():
            raise OfframpError(f"--trees: {tree} is no checkout of this project")
    return options


def main() -> None:
    """Run, show, and end with one JSON object."""
    rows = summary(asyncio.run(measure(parse())))
    show(rows, Console(width=None if Console().is_terminal else publishing.WIDTH))
    print(json.dumps(rows))


if __name__ == "__main__":
    shared.run(main)
