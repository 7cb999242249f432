"""The confidence tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.confidence.figures import FAMILIES, Figures
from bench.confidence.readings import READINGS
from bench.crossfit import COSTS, at, cheapest
from bench.publishing import Table
from offramp.decision.confidence import Measure

ALLOWED = (0.0, 0.005)
SPEEDUPS = (2, 3, 5, 8)

CALIBRATION = "NLL in nats / ECE in points (15 bins), each exit answering everything; 0 is best."
RANKING = (
    "AUROC (1 is best) / AURC in thousandths (0 is best), each exit answering everything. The "
    "learned score says whether going on would change the answer for the better, not whether it is "
    "wrong: at deep exits, where going on mends little, it ranks mistakes worse."
)
COST = (
    "Least mean FLOPs, relative to the full model, at which the mean curve of the frontier is as "
    "accurate as the full model, or half a point below. –: nowhere."
)
THRESHOLDS = (
    "Temperature, max_prob. ±: standard deviation over the splits of the difference to the "
    "frontier, split by split; splits share examples."
)


def tables(title: str, found: Figures) -> list[Table]:
    """Four of a set."""
    return [table(title, found) for table in (_calibration, _ranking, _costs, _thresholds)]


def _calibration(title: str, found: Figures) -> Table:
    rows = [
        [
            reading.name,
            *(f"{nll:.4f} / {100 * ece:.2f}" for nll, ece in found.calibration[reading].T),
        ]
        for reading in READINGS
    ]
    title = f"{title}: calibration, {found.examples:,} examples"
    return Table(title, ["calibrator", *found.exits], rows, CALIBRATION)


def _ranking(title: str, found: Figures) -> Table:
    rows = [
        [reading.name, measure, *(f"{auroc:.4f} / {1000 * aurc:.2f}" for auroc, aurc in figures.T)]
        for (reading, measure), figures in found.ranking.items()
    ]
    columns = ["calibrator", "confidence", *found.exits]
    return Table(f"{title}: ranking of failures", columns, rows, RANKING)


def _costs(title: str, found: Figures) -> Table:
    rows = [
        [
            reading.name,
            *(
                " / ".join(_cost(found, found.curves[reading, measure], lost) for lost in ALLOWED)
                for measure in Measure
            ),
        ]
        for reading in READINGS
    ]
    columns = ["calibrator", *(f"{measure}: no loss / 0.5" for measure in Measure)]
    return Table(f"{title}: what the cascade costs", columns, rows, COST)


def _cost(found: Figures, curve: NDArray[np.float64], lost: float) -> str:
    cost = cheapest(curve, found.full - lost)
    return "–" if cost is None else f"{cost:.2f}"


def _thresholds(title: str, found: Figures) -> Table:
    frontier = found.families[next(iter(FAMILIES))]
    rows = []
    for name, curves in found.families.items():
        mean = curves.mean(axis=0)
        cells = [_at(mean, curves - frontier, 1 / speedup) for speedup in SPEEDUPS]
        rows.append([name, *cells, *(_cost(found, mean, lost) for lost in ALLOWED)])
    columns = [
        "thresholds",
        *(f"accuracy at {speedup}x" for speedup in SPEEDUPS),
        "cost at no loss",
        "cost at 0.5",
    ]
    return Table(f"{title}: thresholds at equal cost", columns, rows, THRESHOLDS)


def _at(mean: NDArray[np.float64], ahead: NDArray[np.float64], cost: float) -> str:
    accuracy = at(mean, cost)
    if accuracy is None:
        return "–"
    differences = [100 * float(np.interp(cost, COSTS, row)) for row in ahead]
    if not any(differences):
        return f"{100 * accuracy:.2f}"
    return f"{100 * accuracy:.2f} ({np.mean(differences):+.2f} ± {np.std(differences):.2f})"


def record(found: Figures) -> dict[str, Any]:
    """The figures of one set for JSON."""
    return {
        "examples": found.examples,
        "full_accuracy": found.full,
        "exits": list(found.exits),
        "calibration": [
            {"reading": reading.name, "nll": nll.tolist(), "ece": ece.tolist()}
            for reading, (nll, ece) in found.calibration.items()
        ],
        "ranking": [
            {
                "reading": reading.name,
                "measure": measure,
                "auroc": auroc.tolist(),
                "aurc": aurc.tolist(),
                "cost": {
                    f"{100 * lost:g} points lost": cheapest(
                        found.curves[reading, measure], found.full - lost
                    )
                    for lost in ALLOWED
                },
            }
            for (reading, measure), (auroc, aurc) in found.ranking.items()
        ],
        "thresholds": {
            name: {f"{s}x": at(curves.mean(axis=0), 1 / s) for s in SPEEDUPS}
            for name, curves in found.families.items()
        },
        "curves": {"cost": COSTS.tolist(), "accuracy": _curves(found)},
    }


def _curves(found: Figures) -> dict[str, list[float | None]]:
    """Accuracy at the costs of `bench.crossfit`, by family of thresholds; None where it cannot."""
    return {
        name: [None if np.isnan(a) else round(float(a), 5) for a in family.mean(axis=0)]
        for name, family in found.families.items()
    }
