"""Figures of a cascade on labelled examples: by exit, and along the dial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from offramp.decision.calibration import expected_calibration_error, negative_log_likelihood
from offramp.decision.confidence import Measure
from offramp.decision.evidence import Evidence
from offramp.decision.frontier import Frontier
from offramp.decision.simulate import Forecast, simulate

SPEEDUPS = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0, 20.0)


@dataclass(frozen=True, slots=True)
class ExitFigures:
    """One exit answering everything. relative_cost: 1 is full depth with no small tier."""

    name: str
    accuracy: float
    ece: float
    nll: float
    temperature: float
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
    exits = exit_figures(examples)
    return Figures(
        examples=len(examples.labels),
        full_accuracy=exits[-1].accuracy,
        exits=exits,
        dial=dial(evidence, examples, measure, SPEEDUPS),
    )


def exit_figures(examples: Evidence) -> tuple[ExitFigures, ...]:
    """Accuracy and calibration of every exit on its own."""
    confidences = examples.confidences(Measure.MAX_PROB)
    correct, costs = examples.correct(), examples.costs()
    return tuple(
        ExitFigures(
            name=name,
            accuracy=float(correct[i].mean()),
            ece=expected_calibration_error(confidences[i], correct[i]),
            nll=negative_log_likelihood(
                examples.logits[i], examples.labels, examples.temperatures[i]
            ),
            temperature=examples.temperatures[i],
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
