"""Guarantees on real evidence: how often they break, how often they are refused, what they cost.

Parts the examples at random in three, many times: thresholds are chosen on the first part and
certified on the second, and what they really lose is counted on the others. For every method, and
for the rule without a guarantee.

With labelled files their texts join the bundle's evidence, so that splits are large: what is
refused and what is kept on the evidence of one bundle alone is less favourable.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import options, publishing
from bench.guarantee.pool import gathered, save, saved
from bench.guarantee.splits import CERTIFYING, CHOOSING, Parting, cases, splits
from bench.guarantee.tables import Row, rows, tables
from bench.publishing import Part
from offramp.bundle import read_manifest
from offramp.decision.evidence import Evidence
from training.progress import step

LIMITS = (0.005, 0.01, 0.02)
EXAMPLES = """\
examples:
  python -m bench.guarantee --bundle bundles/sentiment --data dev.tsv
  python -m bench.guarantee --bundle runs/imdb --evidence imdb.npz --splits 500

Use texts that the bundle's models never saw. Tables are printed and land in OUT/guarantee.md and
OUT/guarantee.json, where those of other bundles stay. The last line is one JSON object.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    bundle: Path
    data: tuple[Path, ...]
    evidence: Path | None
    save: Path | None
    splits: int
    delta: float
    limits: tuple[float, ...]
    parting: Parting
    seed: int
    out: Path


def examples(chosen: Options) -> Evidence:
    """The pool that is parted."""
    if chosen.evidence is not None:
        return saved(chosen.bundle, chosen.evidence)
    pool = gathered(chosen.bundle, chosen.data)
    if chosen.save is not None:
        save(pool, chosen.save)
    return pool


def measure(pool: Evidence, chosen: Options) -> list[Row]:
    """All splits, summed up."""
    seeds = range(chosen.seed, chosen.seed + chosen.splits)
    asked = cases(chosen.limits)
    found = []
    with step("splits", chosen.splits) as progress:
        for split in splits(pool, asked, chosen.parting, 1 - chosen.delta, seeds):
            found.append(split)
            progress.advance()
    return rows(found)


def origin(pool: Evidence, chosen: Options) -> str:
    """Where the texts are from that are parted, and how often."""
    if chosen.evidence is not None:
        source = chosen.evidence.name
    else:
        source = " and ".join(["the bundle's evidence", *(file.name for file in chosen.data)])
    return f"{chosen.splits} random splits of {len(pool.labels):,} texts: {source}."


def record(pool: Evidence, found: list[Row], chosen: Options) -> dict[str, Any]:
    """What the JSON file holds."""
    return {
        "examples": len(pool.labels),
        "splits": chosen.splits,
        "seed": chosen.seed,
        "delta": chosen.delta,
        "parting": asdict(chosen.parting),
        "cases": [row.as_dict() for row in found],
    }


def parse() -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--bundle", type=Path, required=True, metavar="DIR", help="whose evidence is parted")
    add(
        "--data",
        type=Path,
        nargs="*",
        default=(),
        metavar="FILE",
        help="labelled files to score and add to the bundle's own evidence",
    )
    add(
        "--evidence",
        type=Path,
        metavar="FILE",
        help="saved logits, labels and tokens (npz or safetensors) instead of both",
    )
    add("--save", type=Path, metavar="FILE", help="keep what was scored, for --evidence")
    add("--splits", type=int, default=200, metavar="N", help="random partings (default: 200)")
    add("--delta", type=_share, default=0.1, help="1 - confidence (default: 0.1)")
    add(
        "--limits",
        type=_share,
        nargs="+",
        default=LIMITS,
        metavar="EPSILON",
        help="losses to certify (default: 0.005 0.01 0.02)",
    )
    add("--choosing", type=_share, default=CHOOSING, help="share that chooses thresholds")
    add("--certifying", type=_share, default=CERTIFYING, help="share that certifies")
    add("--seed", type=int, default=0, help="of the first split; the others follow it")
    options.add_out(parser)
    return _options(parser.parse_args())


def _share(written: str) -> float:
    value = float(written)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{written} is not between 0 and 1")
    return value


def _options(found: argparse.Namespace) -> Options:
    return Options(
        bundle=found.bundle,
        data=tuple(found.data),
        evidence=found.evidence,
        save=found.save,
        splits=found.splits,
        delta=found.delta,
        limits=tuple(found.limits),
        parting=Parting(found.choosing, found.certifying),
        seed=found.seed,
        out=found.out,
    )


def main() -> None:
    """Split, certify, show, and end with one JSON object."""
    chosen = parse()
    pool = examples(chosen)
    found = measure(pool, chosen)
    name = read_manifest(chosen.bundle).name
    sizes = chosen.parting.sizes(len(pool.labels))
    shown = tables(name, found, chosen.delta, sizes, origin(pool, chosen))
    parts = {name: Part(record(pool, found, chosen), shown)}
    publishing.publish("guarantee", __doc__ or "", parts, chosen.out)


if __name__ == "__main__":
    options.run(main)
