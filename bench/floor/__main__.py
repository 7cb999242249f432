"""How far serving is from its floor: the compute of just the stages that texts had to run.

Runs router and tiers under a closed loop, once with a call per text and once with calls of many,
and divides the processor time of each by the answers it gave. Beside it the floor: every stage run
by itself on the texts that had to run it, sorted by length, on one thread, at the batch size that
is best for it. What is above the floor is what tokenising, queues, protobuf, gRPC and padding cost.

With --size the large tier is replaced by an encoder of that size with random weights, and the
thresholds by such that texts leave where they do by the bundle's own evidence.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import engine
from bench import options as shared
from bench.floor import sized
from bench.floor.floor import StageFloor, stage_floors
from bench.load.generator import Generator
from bench.load.texts import labelled_texts
from bench.load.usage import spent, usage
from bench.publishing import Part, Table
from bench.services import running
from offramp.bundle import read_manifest
from offramp.client import Classification, ItemFailure
from offramp.errors import OfframpError
from services.backends.opening import Wish, open_tier

EXAMPLES = """\
examples:
  python -m bench.floor --data dev.tsv
  python -m bench.floor --data dev.tsv --in-flight 128 --calls 4 --seconds 60
  python -m bench.floor --data dev.tsv --size bert-base --texts 200 --repeats 1 --calls 4

Tables are printed and land in OUT/engine.md and OUT/engine.json. The last line is one JSON object.
"""
NOTE = (
    "Processor milliseconds per answer. The floor of a tier: its stages alone, each at its best "
    "batch size, on one thread. Times floor: all of router and tiers over the floor of all tiers."
)
# Texts of a call of many.
PER_CALL = 64
ONE_BY_ONE = "a call per text"
MANY = f"calls of {PER_CALL}"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    data: Path
    bundle: Path
    size: str | None
    texts: int | None
    work: Path
    in_flight: int
    calls: int
    seconds: float
    repeats: int
    seed: int
    out: Path


@dataclass(frozen=True, slots=True)
class Spent:
    """What one way to ask came to. cpu_ms: processor milliseconds per answer, by process."""

    answered: int
    cpu_ms: Mapping[str, float]

    @property
    def all_ms(self) -> float:
        """Of all processes."""
        return sum(self.cpu_ms.values())


@dataclass(frozen=True, slots=True)
class Served:
    """What serving came to, by way to ask. answers: to each text.  precisions: of the tiers."""

    spent: Mapping[str, Spent]
    answers: Mapping[str, Classification]
    precisions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Call:
    """What the generator keeps of a call of many texts."""

    label: str = ""
    exit: str = ""


async def served(
    options: Options, bundle: Path, texts: Sequence[str], objective: Mapping[str, Any] | None
) -> Served:
    """Put router and tiers under load in both ways, once every text was answered."""
    answers: dict[str, Classification] = {}
    found: dict[str, Spent] = {}
    async with running(bundle, objective) as services:
        client, pages = services.client, services.pages

        async def one(text: str) -> Classification:
            answers[text] = answer = await client.classify(text)
            return answer

        async def many(first: int) -> Call:
            call = [texts[place % len(texts)] for place in range(first, first + PER_CALL)]
            for answer in await client.classify_batch(call):
                if isinstance(answer, ItemFailure):
                    raise OfframpError(f"a text of a call was not answered: {answer}")
            return Call()

        for first in range(0, len(texts), options.in_flight):
            await asyncio.gather(*map(one, texts[first : first + options.in_flight]))
        alone = Generator(one, texts)
        found[ONE_BY_ONE] = await _spent(alone, options.in_flight, 1, options.seconds, pages)
        together = Generator(many, range(0, len(texts), PER_CALL))
        found[MANY] = await _spent(together, options.calls, PER_CALL, options.seconds, pages)
        tiers = [spec.name for spec in read_manifest(bundle).tiers]
        precisions = {tier: await services.precision(tier) for tier in tiers}
    return Served(found, answers, precisions)


async def _spent(
    generator: Generator[Any],
    callers: int,
    per_call: int,
    seconds: float,
    pages: Mapping[str, str],
) -> Spent:
    """Under so many callers, warmed up. Raises OfframpError where a call fails."""
    await generator.closed_loop(callers, seconds / 4)
    before = await usage(pages)
    found = await generator.closed_loop(callers, seconds)
    after = await usage(pages)
    if failed := [one for one in found if one.error]:
        raise OfframpError(f"{len(failed)} of {len(found)} calls failed: {failed[0].error}")
    answered = len(found) * per_call
    return Spent(answered, spent(before, after, answered))


def floors(bundle: Path, served: Served, repeats: int) -> dict[str, list[StageFloor]]:
    """By tier, from the exits that each text passed."""
    reached: defaultdict[str, list[str]] = defaultdict(list)
    for text, answer in served.answers.items():
        for step in answer.steps:
            reached[step.exit].append(text)
    found = {}
    for spec in read_manifest(bundle).tiers:
        backend = open_tier(
            bundle, spec.name, Wish(served.precisions[spec.name], threads=1)
        ).backend
        backend.prepare()
        exits = [exit_spec.name for exit_spec in spec.exits]
        found[spec.name] = stage_floors(backend, exits, reached, repeats)
    return found


def part(
    name: str, found: Served, stages: Mapping[str, Sequence[StageFloor]], seed: int, note: str
) -> Part:
    """Figures and tables of a run."""
    texts = len(found.answers)
    least = {
        tier: 1000 * sum(stage.seconds for stage in own) / texts for tier, own in stages.items()
    }
    floor = sum(least.values())
    exits = Counter(answer.exit for answer in found.answers.values())
    figures = {
        "seed": seed,
        "texts": texts,
        "exits": {exit_name: count / texts for exit_name, count in sorted(exits.items())},
        "floor_ms": least,
        "ways": {
            way: {**asdict(spent), "times_floor": spent.all_ms / floor}
            for way, spent in found.spent.items()
        },
        "stages": {tier: [asdict(stage) for stage in own] for tier, own in stages.items()},
    }
    ways = list(found.spent.values())
    rows = [
        [name, process, _ms(least.get(process)), *(_ms(way.cpu_ms[process]) for way in ways)]
        for process in ways[0].cpu_ms
    ]
    rows.append([name, "all", _ms(floor), *(_ms(way.all_ms) for way in ways)])
    times = [f"{way.all_ms / floor:.2f}" for way in ways]
    rows.append([name, "times floor", "1.00", *times])
    by_stage = [
        [name, stage.exit, f"{stage.rows / texts:.1%}", str(stage.batch), _per_row(stage)]
        for own in stages.values()
        for stage in own
    ]
    return Part(
        figures,
        [
            Table(
                "Processor time per answer",
                ["bundle", "process", "floor ms", *(f"{way}, ms" for way in found.spent)],
                rows,
                NOTE + note,
            ),
            Table(
                "The stages by themselves",
                ["bundle", "stage up to", "texts that run it", "best batch", "ms per row"],
                by_stage,
            ),
        ],
    )


def _ms(found: float | None) -> str:
    return "–" if found is None else f"{found:.3f}"


def _per_row(stage: StageFloor) -> str:
    return f"{1000 * stage.seconds / stage.rows:.3f}" if stage.rows else "–"


def parse() -> Options:
    """Read the command line."""
    parser = shared.serving_parser(__doc__, EXAMPLES)
    add = parser.add_argument
    add("--size", choices=sorted(sized.SIZES), help="of the large tier, with random weights")
    add("--texts", type=int, metavar="N", help="send so many of them (default: all)")
    add("--in-flight", type=int, default=64, metavar="N", help="calls of a text each (default: 64)")
    add("--calls", type=int, default=16, metavar="N", help=f"calls of {PER_CALL} (default: 16)")
    add("--seconds", type=float, default=20.0, help="of load, each way (default: 20)")
    add("--repeats", type=int, default=3, metavar="N", help="tries of each stage (default: 3)")
    add("--seed", type=int, default=0, help="of the order of the texts, and of random weights")
    add(
        "--work",
        type=Path,
        default=Path("runs/floor"),
        metavar="DIR",
        help="where bundles of another size are made (default: runs/floor)",
    )
    shared.add_out(parser)
    return Options(**vars(parser.parse_args()))


def main() -> None:
    """Serve, measure, show, and end with one JSON object."""
    options = parse()
    texts = labelled_texts(options.data, options.bundle, options.seed)[0][: options.texts]
    bundle, objective, made, note = options.bundle, None, None, ""
    if options.size is not None:
        made = sized.make(options.size, bundle, texts, options.work / options.size, options.seed)
        bundle, objective = made.bundle, {"thresholds": dict(made.thresholds)}
        mix = ", ".join(f"{share:.0%} at {name}" for name, share in made.shares.items())
        note = (
            f" {options.size} has random weights; its thresholds are set to answer {mix}: the mix "
            f"of `speedup: {sized.SPEEDUP:g}` on the evidence of the bundle that it is made from."
        )
    found = asyncio.run(served(options, bundle, texts, objective))
    if made is not None and found.precisions[sized.SMALL] != made.precision:
        raise sized.SizeError(
            f"the small tier chose {found.precisions[sized.SMALL]} when it served, and "
            f"{made.precision} when thresholds were set: both are about as fast; run this again"
        )
    stages = floors(bundle, found, options.repeats)
    name = read_manifest(bundle).name
    engine.publish("floor", {name: part(name, found, stages, options.seed, note)}, options.out)


if __name__ == "__main__":
    shared.run(main)
