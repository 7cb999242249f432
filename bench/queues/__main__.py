"""Survivors that wait for company, against survivors that go on at once, in the engine alone.

The large tier of a bundle, with the thresholds at which the cascade is expected to lose nothing, or
as little as --loss allows. Under "deepest first" (compaction alone) the survivors of a batch run
before anything else; under "queues" they meet those of other batches where that pays by the curves
that were measured. A closed loop of callers, without any gRPC.

First on this machine, with the texts of --data, in the precision that would serve them; then the
tier's evidence replayed on a clock of its own, where a batch costs what the curves of some device
say: this machine's, and those of a device on which a batch costs 2 ms whatever its size and a row
0.03 ms more, as an accelerator might. The second is no measurement: it says what the rule would do
there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench import options as shared
from bench import publishing
from bench.load.texts import labelled_texts
from bench.publishing import Part, Table
from bench.queues.drive import RULES, Driver, Load, Tier
from bench.queues.replay import Replay
from offramp.bundle import DEFAULT_PRECISION, Manifest, TierSpec, read_evidence, read_manifest
from offramp.decision.cost import CostCurve
from offramp.decision.evidence import Evidence
from offramp.decision.readout import Readout
from offramp.errors import OfframpError
from services.backends.opening import AUTO, Wish, open_tier
from services.engine import warmup
from services.engine.plan import StagePlan
from services.engine.stage_clock import StageCurve
from training.compare.cascade import examples_of
from training.compare.methods import OURS
from training.compare.operating import cheapest_within, expected_loss, speedup

EXAMPLES = """\
examples:
  python -m bench.queues --data dev.tsv
  python -m bench.queues --data dev.tsv --in-flight 64,1000 --backends torch,openvino

Tables are printed and land in OUT/queues.md and OUT/queues.json. The last line is one JSON object.
"""
NOTE = (
    "Answers per second: of the fastest round; gain: against deepest first. Rows to a batch: mean, "
    "by stage. Latency: from a caller's sending to its answer, in the engine, median of the rounds."
)
CURVES = "What a batch costs"
CURVES_NOTE = (
    "Milliseconds by the curves, at 32 tokens, by stage of the tier. Start: what a batch takes "
    "beside its rows, in rows: how many more of these take as long. Waiting for company saves "
    "starts, and nothing else."
)
TYPICAL_TOKENS = 32
# A batch of 64 takes 2 ms and 64 times 0.03 ms.
MEASURED, DEAR = ", measured", "dear starts, replayed"
DEAR_STARTS = StageCurve(CostCurve(0.00203), CostCurve(0.002 / 64 + 0.00003), full=64)
REPLAYED = 10_000


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    data: Path
    bundle: Path
    loss: float
    in_flight: tuple[int, ...]
    backends: tuple[str, ...]
    precision: str
    batch: int
    answers: int
    repeats: int
    out: Path


@dataclass(frozen=True, slots=True)
class Case:
    """Both rules on one device at one number of callers: loads by rule, one per round.

    curves: of the device, by stage.
    """

    device: str
    curves: Sequence[StageCurve]
    in_flight: int
    loads: Mapping[str, Sequence[Load]]

    def rate(self, rule: str) -> float:
        """Answers per second of the fastest round: other work only ever makes one slower."""
        return max(load.rate for load in self.loads[rule])


@dataclass(frozen=True, slots=True)
class Served:
    """What serves in one precision: evidence in it, and thresholds chosen on that."""

    evidence: Evidence
    readouts: tuple[Readout, ...]
    plan: StagePlan


def served(manifest: Manifest, options: Options, precision: str) -> Served:
    """The cascade that loses no more than --loss on the choosing evidence; its last tier's plan."""
    names = [spec.name for spec in manifest.tiers]
    evidence = read_evidence(options.bundle, manifest, dict.fromkeys(names, precision))
    examples = examples_of(evidence)
    cascades = OURS.cascades(examples.evidence)
    outcomes = examples.run(cascades)
    place = cheapest_within(
        [expected_loss(examples, outcome).mean for outcome in outcomes],
        [speedup(examples, outcome) for outcome in outcomes],
        options.loss,
    )
    if place is None:
        raise OfframpError(
            f"no cascade of {options.bundle} keeps --loss {options.loss}; allow more"
        )
    spec, cascade = manifest.tiers[-1], cascades[place]
    thresholds = cascade.thresholds[-len(spec.exits) :]
    plan = StagePlan(thresholds, len(spec.exits) - 1, cascade.measure)
    return Served(evidence, spec.readouts_in(precision), plan)


def compare(
    device: str, tier: Tier, clock: Callable[[], float], texts: Sequence[str], options: Options
) -> list[Case]:
    """Both rules in turn, in every round, at every number of callers."""
    found = []
    for in_flight in options.in_flight:
        loads: dict[str, list[Load]] = {rule: [] for rule in RULES}
        for _ in range(options.repeats):
            for rule, scheduler in RULES.items():
                driver = Driver(tier, scheduler, options.batch, clock)
                loads[rule].append(driver.closed_loop(texts, in_flight, options.answers))
        found.append(Case(device, tier.curves, in_flight, loads))
    return found


def run_all(options: Options, manifest: Manifest) -> list[Case]:
    """Real stages on real texts; then their curves on the tier's evidence, and dear starts."""
    texts, _ = labelled_texts(options.data, options.bundle, seed=0)
    spec = manifest.tiers[-1]
    measured, replayed = [], []
    for wanted in options.backends:
        backend = open_tier(options.bundle, spec.name, Wish(options.precision, wanted)).backend
        backend.prepare()
        curves = warmup.measure(backend, options.batch, manifest.pairs)
        found = served(manifest, options, backend.precision)
        tier = _tier(spec, backend, found, curves)
        measured += compare(f"{backend.name}{MEASURED}", tier, time.perf_counter, texts, options)
        replayed += _replay(f"{backend.name}, replayed", spec, found, curves, options)
    dear = (DEAR_STARTS,) * len(spec.exits)
    exact = served(manifest, options, DEFAULT_PRECISION)
    return measured + replayed + _replay(DEAR, spec, exact, dear, options)


def _tier(spec: TierSpec, backend: Any, found: Served, curves: Sequence[StageCurve]) -> Tier:
    exits = tuple(exit_spec.name for exit_spec in spec.exits)
    return Tier(backend, exits, found.readouts, found.plan, tuple(curves))


def _replay(
    device: str, spec: TierSpec, found: Served, curves: Sequence[StageCurve], options: Options
) -> list[Case]:
    evidence = found.evidence
    backend = Replay(evidence.logits[-len(spec.exits) :], evidence.tokens, curves)
    tier = _tier(spec, backend, found, curves)
    texts = [str(row) for row in np.random.default_rng(0).permutation(len(evidence.tokens))]
    once = replace(options, repeats=1, answers=REPLAYED)
    return compare(device, tier, backend.clock, texts, once)


def part(name: str, cases: Sequence[Case]) -> Part:
    """Figures and the tables of a run."""
    rows, figures = [], []
    for case in cases:
        first = case.rate(next(iter(RULES)))
        for rule, loads in case.loads.items():
            rate, batches = case.rate(rule), loads[-1].batches
            percentiles = [np.percentile(load.latencies, (50, 99)) for load in loads]
            milliseconds = 1000 * np.median(percentiles, axis=0)
            found = {
                "device": case.device,
                "in_flight": case.in_flight,
                "rule": rule,
                "per_second": rate,
                "gain": rate / first - 1,
                "batches": batches,
                "p50_ms": float(milliseconds[0]),
                "p99_ms": float(milliseconds[1]),
            }
            figures.append(found)
            rows.append(
                [
                    name,
                    case.device,
                    str(case.in_flight),
                    rule,
                    f"{rate:,.0f}",
                    f"{100 * (rate / first - 1):+.0f} %",
                    " / ".join(f"{size:.1f}" for size in batches),
                    f"{milliseconds[0]:.0f}",
                    f"{milliseconds[1]:.0f}",
                ]
            )
    columns = ["bundle", "device", "in flight", "rule", "answers/s", "gain", "rows to a batch"]
    table = Table("Queues", [*columns, "p50 ms", "p99 ms"], rows, NOTE)
    curves = {case.device: case.curves for case in cases if case.device.endswith(MEASURED)}
    curves |= {case.device: case.curves for case in cases if case.device == DEAR}
    return Part({"cases": figures}, [table, _costs(name, curves)])


def _costs(name: str, curves: Mapping[str, Sequence[StageCurve]]) -> Table:
    """What a batch costs beside its rows, on every device."""

    def row(device: str, stages: Sequence[StageCurve]) -> list[str]:
        starts = [curve.start(TYPICAL_TOKENS) for curve in stages]
        each = [curve.each(TYPICAL_TOKENS) for curve in stages]
        ratios = [s / e if e else 0.0 for s, e in zip(starts, each, strict=True)]
        milliseconds = (" / ".join(f"{1000 * s:.2f}" for s in some) for some in (starts, each))
        return [name, device, *milliseconds, " / ".join(f"{ratio:.1f}" for ratio in ratios)]

    columns = ["bundle", "device", "start ms", "row ms", "start in rows"]
    return Table(CURVES, columns, [row(*one) for one in curves.items()], CURVES_NOTE)


def parse() -> Options:
    """Read the command line."""
    parser = shared.serving_parser(__doc__, EXAMPLES)
    add = parser.add_argument
    add("--loss", type=float, default=0.0, help="accuracy that may be lost, a share (default: 0)")
    shared.add_in_flight(parser, 64, 256, 1000)
    add(
        "--backends",
        type=lambda written: tuple(written.split(",")),
        default=("openvino", "torch"),
        metavar="NAME,NAME",
        help="what runs the stages here (default: openvino,torch)",
    )
    add("--precision", default=AUTO, metavar="NAME", help="of the stages here (default: auto)")
    add("--batch", type=int, default=32, metavar="N", help="rows to a batch at most (default: 32)")
    add("--answers", type=int, default=2000, metavar="N", help="of every load (default: 2000)")
    add("--repeats", type=int, default=3, metavar="N", help="rounds (default: 3)")
    shared.add_out(parser)
    return Options(**vars(parser.parse_args()))


def main() -> None:
    """Run, show, and end with one JSON object."""
    options = parse()
    manifest = read_manifest(options.bundle)
    parts = {manifest.name: part(manifest.name, run_all(options, manifest))}
    publishing.publish("queues", __doc__ or "", parts, options.out)


if __name__ == "__main__":
    shared.run(main)
