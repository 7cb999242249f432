"""What a recipe's large tier is worth, on evidence that all recipes share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bench.crossfit import at, cheapest, curve
from offramp.decision.calibration import log_loss
from offramp.decision.confidence import Measure
from offramp.decision.evidence import Evidence
from offramp.decision.frontier import Frontier
from offramp.decision.ranking import area_under_risk_coverage
from training.compare.cascade import View
from training.compare.methods import large_exits

SHARES = (0.25, 0.5)
ALLOWED = (0.0, 0.005)


@dataclass(frozen=True, slots=True)
class ExitFigures:
    """One exit answering everything, as the bundle reads it. nll in nats."""

    name: str
    accuracy: float
    nll: float
    aurc: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One recipe on one seed.

    accuracy_at: by share of the dearest recipe's full cost.  cost_at: as such a share, by accuracy
    lost to the best recipe's full depth; None where the recipe is never so accurate.
    """

    seed: int
    examples: int
    exits: tuple[ExitFigures, ...]
    accuracy_at: Mapping[float, float | None]
    cost_at: Mapping[float, float | None]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def figures(evidences: Mapping[str, Evidence], seed: int) -> dict[str, Figures]:
    """Figures by recipe. Raises ValueError unless all evidence is of the same examples."""
    large = {name: _large_alone(evidence) for name, evidence in evidences.items()}
    first = next(iter(large.values()))
    for name, evidence in large.items():
        if not np.array_equal(evidence.labels, first.labels):
            raise ValueError(f"recipe {name} was held out other examples")
    bar = max(float(evidence.correct()[-1].mean()) for evidence in large.values())
    # A recipe that drops tokens has a cheaper full depth: all costs are shares of the dearest.
    full = {name: _full_cost(evidence) for name, evidence in large.items()}
    dearest = max(full.values())
    return {
        name: _figures(evidence, bar, seed, full[name] / dearest)
        for name, evidence in large.items()
    }


def _full_cost(evidence: Evidence) -> float:
    """Mean FLOPs of full depth."""
    return float(evidence.exits[-1].flops.at(evidence.tokens).mean())


def _large_alone(evidence: Evidence) -> Evidence:
    places = large_exits(evidence)
    return View(tuple(places), tuple(evidence.readouts[place] for place in places)).of(evidence)


def _figures(evidence: Evidence, bar: float, seed: int, full_cost: float) -> Figures:
    found = curve(evidence, Frontier, Measure.MAX_PROB, seed)
    least = {lost: cheapest(found, bar - lost) for lost in ALLOWED}
    return Figures(
        seed=seed,
        examples=len(evidence.labels),
        exits=exit_figures(evidence),
        accuracy_at={share: at(found, min(share / full_cost, 1.0)) for share in SHARES},
        cost_at={lost: None if c is None else full_cost * c for lost, c in least.items()},
    )


def exit_figures(evidence: Evidence) -> tuple[ExitFigures, ...]:
    """Every exit of the evidence."""
    correct, confidences = evidence.correct(), evidence.confidences(Measure.MAX_PROB)
    return tuple(
        ExitFigures(
            name=name,
            accuracy=float(correct[i].mean()),
            nll=float(log_loss(evidence.probabilities()[i], evidence.labels).mean()),
            aurc=area_under_risk_coverage(confidences[i], correct[i]),
        )
        for i, name in enumerate(evidence.exit_names)
    )
