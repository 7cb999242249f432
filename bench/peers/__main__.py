"""This project beside the servers that a user would pick instead: same texts, same machine.

The large tier of a bundle is written as a Hugging Face model and as OpenVINO graphs, and served at
full depth by each peer, in an environment of its own that is made once in --work. Then the same by
this project's router at full depth, and its cascade: as `offramp up` serves it, as fast as the
bundle's evidence expects to cost no accuracy, and as fast as it expects to cost half a point. All
of these answer texts that are sent one by one. What is asked in bulk, as the pipeline is, stands
apart: the peer that takes many texts in a call, and both settings of the cascade, in calls of 64.
Every contender is started, warmed up, put under a closed loop and stopped, one after the other, and
all of that again in every round, so that a machine that slows down slows all of them alike. What
counts is the processor time of the server's processes per answer; what sends the texts is not
counted. Texts that a run was too short for are asked after it, so that accuracy is on all.

A peer is installed from the package index when it is first run; Triton's Python package needs the
python3.11 of Debian or Ubuntu. A peer that cannot be installed or run has its reason in the table.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench import engine
from bench import options as shared
from bench.load.texts import labelled_texts
from bench.peers import full_depth
from bench.peers.contenders import PEERS
from bench.peers.full_depth import PeerError
from bench.peers.runs import Load, Run, run_ours, run_peer, run_pipeline
from bench.publishing import Part, Table
from training import progress

EXAMPLES = """\
examples:
  python -m bench.peers --data dev.tsv
  python -m bench.peers --data dev.tsv --peers mosec,mosec-int8 --rounds 1 --seconds 10

Tables are printed and land in OUT/engine.md and OUT/engine.json. The last line is one JSON object.
"""
PIPELINE, FULL, CASCADE, CHEAPER = "pipeline", "full", "cascade", "cheaper"
ALLOWED = 0.005
# In bulk: the contenders asked that way, texts of a call, and calls at a time.
BULK = {f"{name}-bulk": name for name in ("triton-int8", CASCADE, CHEAPER)}
PER_CALL, CALLS = 64, 16
TITLES = {
    PIPELINE: "Hugging Face pipeline, PyTorch fp32, in process",
    **{name: peer.title for name, peer in PEERS.items()},
    FULL: "this project at full depth",
    CASCADE: "this project, the cascade",
    CHEAPER: "this project, the cascade allowed half a point",
}
TITLES |= {bulk: f"{TITLES[name]}, in calls of {PER_CALL} texts" for bulk, name in BULK.items()}
NOTE = (
    "Medians over the rounds; accuracy on all texts. CPU: processor milliseconds of the server's "
    "processes per answer; times: how many answers it gives in the processor time of one of the "
    "first row. Peers have a worker of one thread per core, which costs them least, but for "
    "infinity-emb, which has one worker on all cores. The pipeline takes whole batches in as many "
    "processes and serves nobody. The others get each text by itself, but for calls of "
    f"{PER_CALL} texts: {CALLS} of them at a time, and their time is that of a call. Both settings "
    "of the cascade (`expected_loss: 0` and `0.005`) are solved on the bundle's evidence, which "
    "holds none of these texts."
)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    data: Path
    bundle: Path
    peers: tuple[str, ...]
    in_flight: int
    seconds: float
    rounds: int
    batch: int
    seed: int
    work: Path
    out: Path


async def measure(options: Options) -> tuple[dict[str, list[Run]], dict[str, str]]:
    """All rounds: the runs by contender, and why those fell out that did."""
    texts, labels = labelled_texts(options.data, options.bundle, options.seed)
    load = Load(texts, labels, options.in_flight, options.seconds, options.batch)
    model = options.work / "model"
    full_depth.write(options.bundle, model, texts)
    runs: dict[str, list[Run]] = {}
    failed: dict[str, str] = {}
    wanted = [PIPELINE, *options.peers, FULL, CASCADE, CHEAPER]
    wanted += [bulk for bulk, name in BULK.items() if name in wanted]
    with progress.step("contenders", options.rounds * len(wanted)) as bar:
        for _ in range(options.rounds):
            for name in wanted:
                try:
                    if name not in failed:
                        found = await _run(name, model, load, options)
                        runs.setdefault(name, []).append(found)
                except PeerError as error:
                    failed[name] = str(error)
                bar.advance(name)
    return runs, failed


async def _run(name: str, model: Path, load: Load, options: Options) -> Run:
    if name == PIPELINE:
        return await run_pipeline(model, load, options.work)
    if name in BULK:
        load = replace(load, calls=CALLS, per_call=PER_CALL, rows=max(load.rows, PER_CALL))
        name = BULK[name]
    if name in PEERS:
        return await run_peer(name, model, load, options.work)
    if name == FULL:
        return await run_ours(options.bundle, load, full_depth=True)
    return await run_ours(options.bundle, load, allowed=ALLOWED if name == CHEAPER else None)


def part(
    name: str, runs: Mapping[str, Sequence[Run]], failed: Mapping[str, str], options: Options
) -> Part:
    """Figures and the table of a run."""
    middle = {
        contender: _median([run.cpu_ms for run in found]) for contender, found in runs.items()
    }
    base = middle.get(PIPELINE)
    rows = [
        [
            name,
            TITLES[contender],
            _spread([run.cpu_ms for run in found], "{:.2f}"),
            f"{base / middle[contender]:.1f}x" if base else "–",
            _spread([run.throughput for run in found], "{:.0f}"),
            *(_latency([getattr(run, p) for run in found]) for p in ("p50", "p99")),
            f"{_median([run.memory_mb for run in found]):.0f}",
            f"{100 * _median([run.accuracy for run in found]):.2f}",
        ]
        for contender, found in runs.items()
    ]
    rows += [[name, TITLES[contender], why, *["–"] * 6] for contender, why in failed.items()]
    columns = [
        "set",
        "contender",
        "CPU ms",
        "times",
        "per second",
        "p50 ms",
        "p99 ms",
        "MB",
        "acc.",
    ]
    how = f"{options.in_flight} in flight, {options.seconds:g} s, {options.rounds} rounds. {NOTE}"
    figures = {
        "seed": options.seed,
        "runs": {contender: [asdict(run) for run in found] for contender, found in runs.items()},
        "failed": dict(failed),
        "load": {key: getattr(options, key) for key in ("in_flight", "seconds", "rounds", "batch")},
    }
    return Part(figures, [Table("Beside what a user would pick instead", columns, rows, how)])


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


def _spread(values: Sequence[float], shape: str) -> str:
    """The median, and where more than one was measured the lowest and the highest."""
    middle = shape.format(_median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({shape.format(min(values))} to {shape.format(max(values))})"


def _latency(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{_median(known):.1f}" if known else "–"


def parse() -> Options:
    """Read the command line."""
    parser = shared.serving_parser(__doc__, EXAMPLES)
    add = parser.add_argument
    add(
        "--peers",
        type=shared.names_of("peer", PEERS),
        default=tuple(PEERS),
        metavar="NAME,…",
        help=", ".join(PEERS),
    )
    add("--in-flight", type=int, default=64, metavar="N", help="texts at one time (default: 64)")
    add("--seconds", type=float, default=20.0, help="of load in every run (default: 20)")
    add("--rounds", type=int, default=3, help="runs of each contender (default: 3)")
    add("--batch", type=int, default=32, metavar="N", help="rows to a batch of a peer (32)")
    add("--seed", type=int, default=0, help="of the order of the texts")
    add(
        "--work",
        type=Path,
        default=Path("runs/peers"),
        metavar="DIR",
        help="their environments (default: runs/peers)",
    )
    shared.add_out(parser)
    return Options(**vars(parser.parse_args()))


def main() -> None:
    """Run, show, and end with one JSON object."""
    options = parse()
    options.work.mkdir(parents=True, exist_ok=True)
    runs, failed = asyncio.run(measure(options))
    name = options.data.parent.name or options.data.stem
    engine.publish("peers", {name: part(name, runs, failed, options)}, options.out)


if __name__ == "__main__":
    shared.run(main)
