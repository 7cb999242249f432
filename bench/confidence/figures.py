"""What a reading of the exits is worth, averaged over random splits of the same examples.

Every split has three parts: readouts are fitted on the first, thresholds chosen on the second, and
every figure is taken on the third.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.confidence.readings import READINGS, Reading, read
from bench.crossfit import Lay, accuracies
from offramp.decision.calibration import expected_calibration_error, log_loss
from offramp.decision.confidence import Measure
from offramp.decision.evidence import Evidence
from offramp.decision.frontier import Frontier
from offramp.decision.ranking import area_under_risk_coverage, auroc
from offramp.decision.thresholds import ExitShares, GlobalThreshold

Array = NDArray[np.float64]

FAMILIES: Mapping[str, Lay] = {
    "frontier": Frontier,
    "one global threshold": GlobalThreshold,
    "exit shares": ExitShares,
}
# What the families of thresholds are compared on.
PLAIN = Reading("temperature", mixed=False)


@dataclass(frozen=True, slots=True)
class Figures:
    """Means over the splits.

    full: accuracy of the full model, its own logits.
    calibration: by reading, NLL and ECE of every exit (2, E).
    ranking: by reading and measure, AUROC and AURC of every exit (2, E).
    curves: by reading and measure, accuracy (G,) at the costs of `bench.crossfit`, on the frontier.
    families: by family of thresholds, the same of the plain reading; (splits, G).
    """

    examples: int
    full: float
    exits: tuple[str, ...]
    calibration: Mapping[Reading, Array]
    ranking: Mapping[tuple[Reading, Measure], Array]
    curves: Mapping[tuple[Reading, Measure], Array]
    families: Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class _Split:
    fitting: NDArray[np.intp]
    choosing: NDArray[np.intp]
    measuring: NDArray[np.intp]


def figures(evidence: Evidence, splits: int) -> Figures:
    """All readings and families on all splits."""
    parted = [_split(len(evidence.labels), seed) for seed in range(splits)]
    calibration: dict[Reading, Array] = {}
    ranking: dict[tuple[Reading, Measure], Array] = {}
    curves: dict[tuple[Reading, Measure], Array] = {}
    families: dict[str, Array] = {}
    for reading in READINGS:
        sides = [_sides(evidence, split, reading) for split in parted]
        calibration[reading] = _mean([calibration_of(measured) for _, measured in sides])
        for measure in Measure:
            key = (reading, measure)
            ranking[key] = _mean([ranking_of(measured, measure) for _, measured in sides])
            curves[key] = _mean([_curve(Frontier, *pair, measure) for pair in sides])
        if reading == PLAIN:
            families = {
                name: np.stack([_curve(lay, *pair, Measure.MAX_PROB) for pair in sides])
                for name, lay in FAMILIES.items()
            }
    right = evidence.logits[-1].argmax(axis=-1) == evidence.labels
    full = np.mean([right[split.measuring].mean() for split in parted])
    return Figures(
        examples=len(evidence.labels),
        full=float(full),
        exits=evidence.exit_names,
        calibration=calibration,
        ranking=ranking,
        curves=curves,
        families=families,
    )


def _split(count: int, seed: int) -> _Split:
    third = count // 3
    order = np.random.default_rng(seed).permutation(count)
    return _Split(order[:third], order[third : 2 * third], order[2 * third :])


def _sides(evidence: Evidence, split: _Split, reading: Reading) -> tuple[Evidence, Evidence]:
    """The choosing and the measuring part, under readouts of the fitting part."""
    fitted = read(evidence.subset(split.fitting), reading).readouts
    whole = replace(evidence, readouts=fitted)
    return whole.subset(split.choosing), whole.subset(split.measuring)


def _curve(lay: Lay, choosing: Evidence, measured: Evidence, measure: Measure) -> Array:
    return accuracies(lay(choosing, measure), measured, measure)


def calibration_of(measured: Evidence) -> Array:
    """NLL in nats and ECE (15 bins, of the top probability) of every exit (2, E)."""
    probabilities, correct = measured.probabilities(), measured.correct()
    nll = [float(log_loss(exit_p, measured.labels).mean()) for exit_p in probabilities]
    sure = measured.confidences(Measure.MAX_PROB)
    ece = [expected_calibration_error(*pair) for pair in zip(sure, correct, strict=True)]
    return np.array([nll, ece])


def ranking_of(measured: Evidence, measure: Measure) -> Array:
    """AUROC (0.5 is chance, 1 is best) and AURC (0 is best) of every exit (2, E)."""
    pairs = list(zip(measured.confidences(measure), measured.correct(), strict=True))
    return np.array(
        [[auroc(*pair) for pair in pairs], [area_under_risk_coverage(*pair) for pair in pairs]]
    )


def _mean(found: Sequence[Array]) -> Array:
    mean: Array = np.mean(found, axis=0)
    return mean
