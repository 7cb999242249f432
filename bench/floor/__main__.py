"""How far serving is from its floor: the compute of just the stages that texts had to run.

Runs router and tiers under a closed loop and divides the processor time of each by the answers it
gave. Beside it the floor: every stage run by itself on the texts that had to run it, sorted by
length, on one thread, at the batch size that is best for it. What is above the floor is what
tokenising, queues, protobuf, gRPC and padding cost.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import options as shared
from bench import publishing
from bench.floor.floor import StageFloor, stage_floors
from bench.load.generator import Generator
from bench.load.texts import labelled_texts
from bench.load.usage import usage
from bench.publishing import Part, Table
from bench.services import running
from offramp.bundle import read_manifest
from offramp.client import AsyncClient, Classification
from services.backends.opening import Wish, open_tier

EXAMPLES = """\
examples:
  python -m bench.floor --data dev.tsv
  python -m bench.floor --data dev.tsv --in-flight 128 --seconds 60

Tables are printed and land in OUT/floor.md and OUT/floor.json. The last line is one JSON object.
"""
NOTE = (
    "Processor milliseconds per answer. The floor of a tier: its stages alone, each at its best "
    "batch size, on one thread. Times floor: all of router and tiers over the floor of all tiers."
)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    data: Path
    bundle: Path
    in_flight: int
    seconds: float
    repeats: int
    seed: int
    out: Path


async def served(options: Options, texts: Sequence[str]) -> tuple[dict[str, float], dict[str, Any]]:
    """Processor seconds per answer by process, under load; and the answer to each text."""
    answers: dict[str, Classification] = {}
    async with running(options.bundle) as services:
        where = {name: ready.metrics for name, ready in services.where.items()}
        async with AsyncClient(services.where["router"].address) as client:

            async def ask(text: str) -> Classification:
                answers[text] = answer = await client.classify(text)
                return answer

            generator = Generator(ask, texts)
            await generator.closed_loop(options.in_flight, options.seconds / 4)
            for text in texts:
                if text not in answers:
                    await ask(text)
            before = await usage(where)
            found = await generator.closed_loop(options.in_flight, options.seconds)
            after = await usage(where)
    spent = {
        name: (after[name].cpu_seconds - before[name].cpu_seconds) / len(found) for name in where
    }
    return spent, answers


def floors(
    bundle: Path, answers: Mapping[str, Classification], repeats: int
) -> dict[str, list[StageFloor]]:
    """By tier, from the exits that each text passed."""
    reached: defaultdict[str, list[str]] = defaultdict(list)
    for text, answer in answers.items():
        for step in answer.steps:
            reached[step.exit].append(text)
    found = {}
    for spec in read_manifest(bundle).tiers:
        backend = open_tier(bundle, spec.name, Wish("fp32", threads=1)).backend
        backend.prepare()
        exits = [exit_spec.name for exit_spec in spec.exits]
        found[spec.name] = stage_floors(backend, exits, reached, repeats)
    return found


def part(
    name: str, spent: Mapping[str, float], found: Mapping[str, Sequence[StageFloor]], texts: int
) -> Part:
    """Figures and tables of a run."""
    least = {tier: sum(stage.seconds for stage in stages) / texts for tier, stages in found.items()}
    floor, all_of_it = sum(least.values()), sum(spent.values())
    figures = {
        "texts": texts,
        "spent_ms": {process: 1000 * seconds for process, seconds in spent.items()},
        "floor_ms": {tier: 1000 * seconds for tier, seconds in least.items()},
        "times_floor": all_of_it / floor,
        "stages": {tier: [asdict(stage) for stage in stages] for tier, stages in found.items()},
    }
    rows = [
        [name, process, f"{1000 * seconds:.3f}", _ms(least.get(process)), ""]
        for process, seconds in spent.items()
    ]
    rows.append(
        [name, "all", f"{1000 * all_of_it:.3f}", f"{1000 * floor:.3f}", f"{all_of_it / floor:.2f}"]
    )
    stages = [
        [name, stage.exit, f"{stage.rows / texts:.1%}", str(stage.batch), _per_row(stage)]
        for tier in found.values()
        for stage in tier
    ]
    return Part(
        figures,
        [
            Table(
                "Processor time per answer",
                ["bundle", "process", "spent", "floor", "times floor"],
                rows,
                NOTE,
            ),
            Table(
                "The stages by themselves",
                ["bundle", "stage up to", "texts that run it", "best batch", "ms per row"],
                stages,
            ),
        ],
    )


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{1000 * seconds:.3f}"


def _per_row(stage: StageFloor) -> str:
    return f"{1000 * stage.seconds / stage.rows:.3f}" if stage.rows else "–"


def parse() -> Options:
    """Read the command line."""
    parser = shared.serving_parser(__doc__, EXAMPLES)
    add = parser.add_argument
    add("--in-flight", type=int, default=64, metavar="N", help="callers (default: 64)")
    add("--seconds", type=float, default=20.0, help="of load (default: 20)")
    add("--repeats", type=int, default=3, metavar="N", help="tries of each stage (default: 3)")
    add("--seed", type=int, default=0, help="of the order of the texts")
    shared.add_out(parser)
    return Options(**vars(parser.parse_args()))


def main() -> None:
    """Serve, measure, show, and end with one JSON object."""
    options = parse()
    texts, _ = labelled_texts(options.data, options.bundle, options.seed)
    spent, answers = asyncio.run(served(options, texts))
    found = floors(options.bundle, answers, options.repeats)
    name = read_manifest(options.bundle).name
    parts = {name: part(name, spent, found, len(answers))}
    publishing.publish("floor", __doc__ or "", parts, options.out)


if __name__ == "__main__":
    shared.run(main)
