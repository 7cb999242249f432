"""Expected losses on real evidence: how near to its limit `objective: {expected_loss: …}` comes.

Draws some examples at random, many times: thresholds are solved on these, and what they lose is
counted on all the others. Once as they are served, by the loss that the consensus of all exits
lets one expect, and once by the loss that is counted on the labels of the drawn examples.

Draws of one pool overlap, so that means are surer than they were of as many pools, and spreads
narrower. Readouts are the bundle's own, fitted on other texts.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import options, publishing
from bench.expected.draws import Case, Outcome, draws
from bench.guarantee.pool import gathered
from bench.publishing import Part, Table
from offramp.bundle import read_manifest
from offramp.decision.evidence import Evidence
from offramp.errors import OfframpError
from training.progress import step

SIZES = (300, 600)
LIMITS = (0.0, 0.0025, 0.005, 0.01, 0.02)
EXAMPLES = """\
examples:
  python -m bench.expected --bundle bundles/sentiment --data dev.tsv
  python -m bench.expected --bundle bundles/news --data test.tsv --sizes 500 1000

Use texts that the bundle's models never saw. Tables are printed and land in OUT/expected.md and
OUT/expected.json, where those of other bundles stay. The last line is one JSON object.
"""
NOTE = (
    "{draws} random draws of {examples:,} texts: the bundle's evidence and {files}. Lost: points "
    "of accuracy against full depth on the texts that were not drawn, mean of the draws and their "
    "standard deviation. Too much: draws that lose more than the limit there. Cost: relative to "
    "full depth, mean of the draws and their standard deviation."
)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    bundle: Path
    data: tuple[Path, ...]
    sizes: tuple[int, ...]
    limits: tuple[float, ...]
    draws: int
    seed: int
    out: Path


@dataclass(frozen=True, slots=True)
class Row:
    """A case over all draws: means and standard deviations, and the share that lost too much."""

    case: Case
    lost: float
    lost_spread: float
    too_much: float
    cost: float
    cost_spread: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found = asdict(self)
        case: dict[str, Any] = found.pop("case")
        return case | found


def measure(pool: Evidence, chosen: Options) -> list[Row]:
    """All draws, summed up. Raises OfframpError where a size leaves nothing to count on."""
    if max(chosen.sizes) >= len(pool.labels):
        raise OfframpError(
            f"--sizes {max(chosen.sizes)}: there are {len(pool.labels)} texts, and some must be "
            "left to count losses on; give smaller ones, or more files with --data"
        )
    found = []
    with step("draws", chosen.draws) as progress:
        seeds = range(chosen.seed, chosen.seed + chosen.draws)
        for one in draws(pool, chosen.sizes, chosen.limits, seeds):
            found.append(one)
            progress.advance()
    return [_row(case, [one[case] for one in found]) for case in found[0]]


def _row(case: Case, outcomes: Sequence[Outcome]) -> Row:
    losses = np.asarray([one.loss for one in outcomes])
    costs = np.asarray([one.cost for one in outcomes])
    return Row(
        case,
        lost=float(losses.mean()),
        lost_spread=float(losses.std()),
        too_much=float((losses > case.limit).mean()),
        cost=float(costs.mean()),
        cost_spread=float(costs.std()),
    )


def table(name: str, rows: Sequence[Row], note: str) -> Table:
    """A row per case; `name` says whose evidence it is."""
    return Table(
        f"{name}: points of accuracy lost to full depth",
        ["texts drawn", "limit", "loss is", "lost", "too much", "cost"],
        [
            [
                f"{row.case.examples:,}",
                f"{100 * row.case.limit:g}",
                row.case.rule,
                f"{100 * row.lost:.2f} ± {100 * row.lost_spread:.2f}",
                f"{row.too_much:.0%}",
                f"{row.cost:.3f} ± {row.cost_spread:.3f}",
            ]
            for row in rows
        ],
        note,
    )


def record(rows: Sequence[Row], chosen: Options) -> dict[str, Any]:
    """What the JSON file holds."""
    return {
        "draws": chosen.draws,
        "seed": chosen.seed,
        "cases": [row.as_dict() for row in rows],
    }


def parse() -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--bundle", type=Path, required=True, metavar="DIR", help="whose evidence is drawn from")
    add(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE",
        help="labelled files to score and add to the bundle's own evidence",
    )
    add("--sizes", type=int, nargs="+", default=SIZES, metavar="N", help="texts to draw")
    add("--limits", type=float, nargs="+", default=LIMITS, metavar="SHARE", help="losses allowed")
    add("--draws", type=int, default=100, metavar="N", help="random draws (default: 100)")
    add("--seed", type=int, default=0, help="of the first draw; the others follow it")
    options.add_out(parser)
    found = parser.parse_args()
    return Options(
        bundle=found.bundle,
        data=tuple(found.data),
        sizes=tuple(found.sizes),
        limits=tuple(found.limits),
        draws=found.draws,
        seed=found.seed,
        out=found.out,
    )


def main() -> None:
    """Draw, solve, count, show, and end with one JSON object."""
    chosen = parse()
    pool = gathered(chosen.bundle, chosen.data)
    rows = measure(pool, chosen)
    name = read_manifest(chosen.bundle).name
    files = " and ".join(file.name for file in chosen.data)
    note = NOTE.format(draws=chosen.draws, examples=len(pool.labels), files=files)
    parts = {name: Part(record(rows, chosen), [table(name, rows, note)])}
    publishing.publish("expected", __doc__ or "", parts, chosen.out)


if __name__ == "__main__":
    options.run(main)
