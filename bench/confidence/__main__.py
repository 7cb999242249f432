"""Calibrators, measures of confidence and families of thresholds, on the same logits.

Takes the evidence of a bundle per data set (the one that `bench.papers` trains, from the same work
folder) and parts it at random in three, many times: readouts are fitted on the first part,
thresholds chosen on the second, figures taken on the third. Compared are

  calibrators   temperature, vector scaling, isotonic; each alone and on the mix of exits
  confidence    max_prob, margin, entropy, learned
  thresholds    the frontier, one global threshold, shares per exit (EENet), at equal cost

by NLL, ECE, AUROC and AURC of every exit, and by what the cascade costs where nothing is lost.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench import options as shared
from bench import publishing
from bench.bundles import trained
from bench.confidence.figures import figures
from bench.confidence.tables import record, tables
from bench.datasets import DataSet, test_file
from bench.options import Options
from bench.publishing import Part
from bench.scores import pooled, scored
from offramp.bundle import read_evidence, read_manifest

EXAMPLES = """\
examples:
  python -m bench.confidence --data data
  python -m bench.confidence --data data --sets ag_news --splits 50
  python -m bench.confidence --data data --with-test

Tables are printed and land in OUT/confidence.md and OUT/confidence.json. The last line is one JSON
object. Nothing is trained where `bench.papers` ran before with the same --work and settings.
"""
SETS = ("sst2", "ag_news")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceOptions(Options):
    """splits: random partings.  with_test: use the scored test file as well as the evidence."""

    splits: int
    with_test: bool


def part(data_set: DataSet, options: ConfidenceOptions) -> Part:
    """What is kept of a set: figures on the bundle of its first seed."""
    seed = options.seeds_of(data_set)[0]
    bundle = trained(options.training(data_set, seed, exits="all"), options.work)
    manifest = read_manifest(bundle)
    evidence = read_evidence(bundle, manifest)
    if options.with_test:
        test, _ = scored(bundle, test_file(data_set, options.data, options.work), options.work)
        evidence = pooled(evidence, test)
    found = figures(evidence, options.splits)
    asked = {
        "seed": seed,
        "bundle": manifest.id,
        "splits": options.splits,
        "with_test": options.with_test,
    }
    return Part(asked | record(found), tables(data_set.title, found))


def parse() -> ConfidenceOptions:
    """Read the command line."""
    parser = shared.parser(__doc__, EXAMPLES, SETS)
    parser.add_argument(
        "--splits", type=int, default=20, metavar="N", help="random partings (default: 20)"
    )
    parser.add_argument(
        "--with-test",
        action="store_true",
        help="part the scored test file too: more examples; only once nothing is chosen any more",
    )
    return shared.read(ConfidenceOptions, parser.parse_args())


def main() -> None:
    """Compare, show, and end with one JSON object."""
    options = parse()
    parts = {data_set.name: part(data_set, options) for data_set in options.data_sets}
    publishing.publish("confidence", __doc__ or "", parts, options.out)


if __name__ == "__main__":
    shared.run(main)
