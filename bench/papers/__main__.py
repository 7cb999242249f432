"""This project beside the papers that it joins, on the same models and the same test files.

For every data set: train a bundle with an exit at every layer, score its test file, and run
the full model, the small tier alone, the large tier truncated at one depth, entropy exit (DeeBERT),
two tiers (TangoBERT), multi-exit (Right Tool), and both together (this project).

Which cascade each method runs is chosen on the bundle's evidence alone, by one rule for
all: the cheapest whose expected accuracy there is within the allowed loss (0, 0.5, 1 points) of the
full model's. The test labels choose no point; they count what came of it. (They were counted more
than once: after first tables of SST-2 and QNLI the rules for combining exits and for the expected
loss were changed, and these sets measured again.) Accuracy is that of the whole test file, of IMDB
that of 5,000 texts drawn from it; the clock runs on texts drawn from it, through the engines that
serve, one method after the other in every round, against the same large tier at full depth with no
exit before the last.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from bench import datasets, publishing
from bench import options as shared
from bench.datasets import NAMES, DataSet
from bench.options import Options
from bench.papers.comparison import Comparison, Timed, compare_on, train_all
from bench.papers.picture import draw
from bench.papers.record import record
from bench.papers.tables import tables
from bench.publishing import Part
from services.backends.opening import OPENVINO, TORCH

EXAMPLES = """\
examples:
  python -m bench.papers --data data
  python -m bench.papers --data data --sets sst2,ag_news --alone
  python -m bench.papers --data data --sets rte --limit 600 --repeats 1 --out /tmp/trial

Tables are printed and land in OUT/papers.md and OUT/papers.json, the curves in --plot; sets that
were measured before and are not named in --sets stay there. The last line is one JSON object.
Training is the long part; its bundles stay in --work.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PapersOptions(Options):
    """alone: also train a single-exit model for each depth.  timed: texts on the clock."""

    alone: bool
    timed: int
    repeats: int
    batch: int
    backend: str
    plot: Path

    @property
    def clock(self) -> Timed:
        """How methods are timed."""
        return Timed(self.timed, self.repeats, self.batch, self.backend)


def compare_set(data_set: DataSet, options: PapersOptions) -> list[Comparison]:
    """All seeds of one set."""
    found = []
    for seed in options.seeds_of(data_set):
        settings = options.training(data_set, seed, exits="all")
        bundles = train_all(settings, options.work, options.alone)
        test = datasets.test_file(data_set, options.data, options.work)
        found.append(compare_on(bundles, seed, test, options.work, options.clock))
    return found


def parse() -> PapersOptions:
    """Read the command line."""
    parser = shared.parser(__doc__, EXAMPLES, NAMES)
    parser.add_argument(
        "--alone",
        action="store_true",
        help="also train a model for each depth by itself (3.5 times the training)",
    )
    parser.add_argument(
        "--timed", type=int, default=1000, metavar="N", help="texts on the clock (default: 1000)"
    )
    parser.add_argument(
        "--repeats", type=int, default=5, metavar="N", help="timed rounds (default: 5)"
    )
    parser.add_argument("--batch", type=int, default=32, metavar="N", help="rows to a batch (32)")
    parser.add_argument(
        "--backend",
        choices=(OPENVINO, TORCH),
        default=TORCH,
        help="what is timed: torch (default), or openvino, which serves on a CPU",
    )
    parser.add_argument(
        "--plot",
        type=Path,
        default=Path("docs/images/papers.svg"),
        metavar="FILE",
        help="where the curves are drawn (default: docs/images/papers.svg)",
    )
    return shared.read(PapersOptions, parser.parse_args())


def part(data_set: DataSet, options: PapersOptions) -> Part:
    """What is kept of a set."""
    found = compare_set(data_set, options)
    figures = {"title": data_set.title, "timed": asdict(options.clock), **record(found)}
    return Part(figures, tables(data_set.title, found, options.clock))


def main() -> None:
    """Compare, show, draw, and end with one JSON object; every set is written when it is done."""
    options = parse()
    about, parts = __doc__ or "", {}
    for data_set in options.data_sets:
        parts[data_set.name] = part(data_set, options)
        publishing.write("papers", about, parts, options.out)
    draw(publishing.publish("papers", about, parts, options.out)["sets"], options.plot)


if __name__ == "__main__":
    shared.run(main)
