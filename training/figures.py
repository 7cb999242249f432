"""Figures of a cascade on labelled examples: by exit, and along the dial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from offramp.decision.calibration import expected_calibration_error, log_loss
from offramp.decision.confidence import Measure
from offramp.decision.evidence import Evidence
from offramp.decision.frontier import Frontier
from offramp.decision.ranking import area_under_risk_coverage, auroc, excess_area
from offramp.decision.simulate import Forecast, simulate

METRICS = "metrics.json"
SPEEDUPS = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0, 20.0)


@dataclass(frozen=True, slots=True)
class ExitFigures:
    """One exit answering everything. relative_cost: 1 is full depth with no small tier.

    ece, nll: how far confidence means accuracy (max_prob).
    auroc, aurc, excess_aurc: how well the measure in use ranks right answers before wrong ones.
    """

    name: str
    accuracy: float
    ece: float
    nll: float
    auroc: float
    aurc: float
    excess_aurc: float
    calibrator: str
    mixed: bool
    relative_cost: float


@dataclass(frozen=True, slots=True)
class DialPoint:
    """One setting of the dial: thresholds solved on the evidence, figures on the examples."""

    setting: float
    thresholds: dict[str, float]
    accuracy: float
    speedup_flops: float
    mean_cost: float
    escalation_rate: float
    exits: dict[str, float]


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of a bundle on a set of examples."""

    examples: int
    full_accuracy: float
    exits: tuple[ExitFigures, ...]
    dial: tuple[DialPoint, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def figures(evidence: Evidence, examples: Evidence, measure: Measure) -> Figures:
    """Thresholds from `evidence`, figures on `examples` (which may be the same)."""
    exits = exit_figures(examples, measure)
    return Figures(
        examples=len(examples.labels),
        full_accuracy=exits[-1].accuracy,
        exits=exits,
        dial=dial(evidence, examples, measure, SPEEDUPS),
    )


def exit_figures(examples: Evidence, measure: Measure) -> tuple[ExitFigures, ...]:
    """Accuracy, calibration, and ranking by a measure, of every exit on its own."""
    believed, scores = examples.confidences(Measure.MAX_PROB), examples.confidences(measure)
    correct, costs = examples.correct(), examples.costs()
    return tuple(
        ExitFigures(
            name=name,
            accuracy=float(correct[i].mean()),
            ece=expected_calibration_error(believed[i], correct[i]),
            nll=float(log_loss(examples.probabilities()[i], examples.labels).mean()),
            auroc=auroc(scores[i], correct[i]),
            aurc=area_under_risk_coverage(scores[i], correct[i]),
            excess_aurc=excess_area(scores[i], correct[i]),
            mixed=examples.readouts[i].mix is not None,
            calibrator=examples.readouts[i].calibrator.kind,
            relative_cost=float(np.mean(costs[i])),
        )
        for i, name in enumerate(examples.exit_names)
    )


def dial(
    evidence: Evidence, examples: Evidence, measure: Measure, speedups: Sequence[float]
) -> tuple[DialPoint, ...]:
    """One point per speedup asked for, as far as the cascade can go."""
    frontier = Frontier(evidence, measure)
    points = []
    for wanted in speedups:
        if 1.0 / wanted < frontier.points[-1].forecast.mean_cost:
            break
        thresholds = frontier.at_cost(1.0 / wanted).thresholds
        forecast = simulate(examples, thresholds, measure)
        points.append(_dial_point(wanted, evidence.exit_names, thresholds, forecast))
    return tuple(points)


def _dial_point(
    wanted: float, names: Sequence[str], thresholds: Sequence[float], forecast: Forecast
) -> DialPoint:
    return DialPoint(
        setting=wanted,
        thresholds=dict(zip(names[:-1], thresholds[:-1], strict=True)),
        accuracy=forecast.accuracy,
        speedup_flops=forecast.speedup,
        mean_cost=forecast.mean_cost,
        escalation_rate=forecast.escalation_ratio,
        exits=dict(forecast.exit_shares),
    )
