"""The recipes' tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.publishing import Table
from bench.recipes.figures import ALLOWED, SHARES, Figures

ByVariant = Mapping[str, Sequence[Figures]]

BY_EXIT = (
    "Accuracy in percent / NLL in nats / AURC in thousandths (0 is best), each exit answering "
    "everything; means over the seeds. Standard error of an accuracy on so many texts: {error:.1f} "
    "points; recipes share the texts."
)
COSTS = (
    "Thresholds from one half of the held-out texts, figures on the other; the large tier alone, "
    "cost relative to full depth in FLOPs. ±: standard deviation over the seeds. –: never so "
    "accurate in some seed."
)


def tables(title: str, found: ByVariant) -> list[Table]:
    """Of a set: by exit, and what it costs."""
    return [by_exit(title, found), costs(title, found)]


def by_exit(title: str, found: ByVariant) -> Table:
    """Rows by recipe, a column per exit."""
    seeds = next(iter(found.values()))
    first = seeds[0]
    rows = [
        [name, *(_exit(seeds, place) for place in range(len(first.exits)))]
        for name, seeds in found.items()
    ]
    columns = ["recipe", *(e.name for e in first.exits)]
    right = first.exits[-1].accuracy
    error = 100 * float(np.sqrt(right * (1 - right) / (first.examples * len(seeds))))
    title = f"{title}: every exit on {first.examples:,} held-out texts"
    return Table(title, columns, rows, BY_EXIT.format(error=error))


def _exit(seeds: Sequence[Figures], place: int) -> str:
    found = [figures.exits[place] for figures in seeds]
    accuracy, nll, aurc = np.mean([[e.accuracy, e.nll, e.aurc] for e in found], axis=0)
    return f"{100 * accuracy:.2f} / {nll:.3f} / {1000 * aurc:.1f}"


def costs(title: str, found: ByVariant) -> Table:
    """Rows by recipe: accuracy at a cost, and cost at an accuracy."""
    rows = [
        [
            name,
            _mean([f.exits[-1].accuracy for f in seeds], 100),
            *(_mean([f.accuracy_at[share] for f in seeds], 100) for share in SHARES),
            *(_mean([f.cost_at[lost] for f in seeds], 1) for lost in ALLOWED),
        ]
        for name, seeds in found.items()
    ]
    columns = [
        "recipe",
        "full depth",
        *(f"accuracy at cost {share:g}" for share in SHARES),
        *(f"cost at the best full depth − {100 * lost:g}" for lost in ALLOWED),
    ]
    return Table(f"{title}: what leaving early buys", columns, rows, COSTS)


def _mean(values: Sequence[float | None], scale: float) -> str:
    known = [scale * value for value in values if value is not None]
    if len(known) < len(values):
        return "–"
    spread = f" ± {np.std(known):.2f}" if len(known) > 1 else ""
    return f"{np.mean(known):.2f}{spread}"
