"""Recipes for the large tier side by side, on texts that no model was fitted on.

For every data set, seed and recipe: train the same large tier on the same texts, then look at the
same held-out ones. By exit: accuracy, negative log likelihood (NLL) and the area under the
risk-coverage curve (AURC: how well the exit's confidence ranks its own mistakes; that decides what
leaving early gains). Of the large tier alone, with thresholds from one half of the held-out texts
and figures on the other: accuracy at a quarter and at half of the full cost, and the cost at which
it is as accurate as the best recipe's full depth, or half a point below. No test file is opened.

With several --epochs or --learning-rates every combination is a row: that is how the settings of
bench/datasets.py are checked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from bench import options as shared
from bench import publishing
from bench.bundles import CHEAP_STUDENT, trained
from bench.datasets import DataSet
from bench.options import Options
from bench.publishing import Part
from bench.recipes.figures import Figures, figures
from bench.recipes.tables import tables
from offramp.bundle import read_evidence, read_manifest
from training.settings import LargeSettings

EXAMPLES = """\
examples:
  python -m bench.recipes --data data
  python -m bench.recipes --data data --sets ag_news --recipes joint,taught --seeds 1
  python -m bench.recipes --data data --sets rte --recipes taught --epochs 5,10,15
  python -m bench.recipes --data data --recipes taught,dropping

Tables are printed and land in OUT/recipes.md and OUT/recipes.json. The last line is one JSON
object.
"""
SETS = ("sst2", "ag_news")
TEXTS = 20_000
# What each name stands for; FastBERT's own order of training is a variant of `taught`, and so is
# one whose tokens, the least attended ones, are dropped between stages.
RECIPES: dict[str, dict[str, Any]] = {
    "joint": {"recipe": "joint"},
    "sweet": {"recipe": "sweet"},
    "frozen": {"recipe": "frozen"},
    "taught": {"recipe": "taught"},
    "fastbert": {"recipe": "taught", "backbone_first": True},
    "dropping": {"recipe": "taught", "keep": "auto"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipesOptions(Options):
    """epochs, learning_rates: to cross with the recipes; empty for the set's own."""

    recipes: tuple[str, ...]
    epochs: tuple[int, ...]
    learning_rates: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """A row of the tables: a name and what it changes in the settings of the large tier."""

    name: str
    changes: dict[str, Any]


def variants(options: RecipesOptions) -> list[Variant]:
    """Every recipe with every number of epochs and every learning rate."""
    grid = product(options.recipes, options.epochs or (None,), options.learning_rates or (None,))
    return [_variant(*chosen) for chosen in grid]


def _variant(recipe: str, epochs: int | None, rate: float | None) -> Variant:
    usual = LargeSettings()
    changes = dict(RECIPES[recipe])
    default = all(getattr(usual, key) == value for key, value in changes.items())
    name = recipe + (" (default)" if default and len(changes) == 1 else "")
    if epochs is not None:
        changes["epochs"] = epochs
        name += f", {epochs} epochs"
    if rate is not None:
        changes["learning_rate"] = rate
        name += f", rate {rate:g}"
    return Variant(name, changes)


def run_set(data_set: DataSet, options: RecipesOptions) -> dict[str, list[Figures]]:
    """Figures by variant, one per seed."""
    found: dict[str, list[Figures]] = {variant.name: [] for variant in variants(options)}
    for seed in options.seeds_of(data_set):
        evidences = {}
        for variant in variants(options):
            usual = options.training(data_set, seed, exits="all")
            settings = replace(
                usual,
                large=replace(usual.large, **variant.changes),
                small=CHEAP_STUDENT,
            )
            bundle = trained(settings, options.work)
            evidences[variant.name] = read_evidence(bundle, read_manifest(bundle))
        for name, figure in figures(evidences, seed).items():
            found[name].append(figure)
    return found


def parse() -> RecipesOptions:
    """Read the command line."""
    parser = shared.parser(__doc__, EXAMPLES, SETS)
    parser.set_defaults(limit=TEXTS)
    parser.add_argument(
        "--recipes",
        type=shared.names_of("recipe", RECIPES),
        default=tuple(RECIPES),
        metavar="NAME,NAME",
        help=f"of {','.join(RECIPES)} (default: all)",
    )
    parser.add_argument(
        "--epochs",
        type=lambda written: tuple(int(part) for part in written.split(",")),
        default=(),
        metavar="N,N",
        help="passes over the data (default: the set's own)",
    )
    parser.add_argument(
        "--learning-rates",
        type=lambda written: tuple(float(part) for part in written.split(",")),
        default=(),
        metavar="R,R",
        help="of the encoder (default: the set's own)",
    )
    return shared.read(RecipesOptions, parser.parse_args())


def part(data_set: DataSet, options: RecipesOptions) -> Part:
    """What is kept of a set."""
    found = run_set(data_set, options)
    by_variant = {name: [f.as_dict() for f in seeds] for name, seeds in found.items()}
    title = f"{data_set.title}, {options.limit:,} texts" if options.limit else data_set.title
    seeds = list(options.seeds_of(data_set))
    figures = {"seeds": seeds, "texts": options.limit, "recipes": by_variant}
    return Part(figures, tables(title, found))


def main() -> None:
    """Train, compare, show, and end with one JSON object; every set is written when it is done."""
    options = parse()
    about, parts = __doc__ or "", {}
    for data_set in options.data_sets:
        parts[data_set.name] = part(data_set, options)
        publishing.write("recipes", about, parts, options.out)
    publishing.publish("recipes", about, parts, options.out)


if __name__ == "__main__":
    shared.run(main)
