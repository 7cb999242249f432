"""Ranking: how well a confidence tells an exit's right answers from its wrong ones.

That, and not calibration, decides what early exit gains: thresholds only ever compare confidences.
Each function takes the confidences (N,) of one exit and whether its answers are right (N,), and is
unchanged by anything that keeps the order of the confidences. Equal confidences count as if their
order were random.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


def auroc(confidences: Array, correct: Flags) -> float:
    """The chance that a right answer is surer than a wrong one: area under the ROC curve.

    1 is perfect, 0.5 is a coin; 0.5 too where all answers are right, or all are wrong.
    """
    right = int(np.count_nonzero(correct))
    wrong = len(correct) - right
    if right == 0 or wrong == 0:
        return 0.5
    ranks = rankdata(confidences)[np.asarray(correct)]
    return float((ranks.sum() - right * (right + 1) / 2) / (right * wrong))


def risk_coverage(confidences: Array, correct: Flags) -> Array:
    """Share of wrong answers among the k + 1 surest examples, for k in 0..N-1 (N,).

    Entry k is the risk at coverage (k + 1) / N (Geifman & El-Yaniv, arXiv 1705.08500).
    """
    wrong = 1.0 - np.asarray(correct, dtype=np.float64)
    _, group, counts = np.unique(-np.asarray(confidences), return_inverse=True, return_counts=True)
    # Of equally sure examples, each is as wrong as they are on average.
    expected = np.repeat(np.bincount(group, weights=wrong) / counts, counts)
    return _running_mean(expected)


def area_under_risk_coverage(confidences: Array, correct: Flags) -> float:
    """AURC: the mean risk over all coverages; 0 is best."""
    return float(risk_coverage(confidences, correct).mean())


def excess_area(confidences: Array, correct: Flags) -> float:
    """AURC less that of a perfect ranking of the same answers (arXiv 1805.08206); 0 is best.

    Unlike AURC it does not reward an exit for being right more often.
    """
    wrong = np.sort(1.0 - np.asarray(correct, dtype=np.float64))
    return area_under_risk_coverage(confidences, correct) - float(_running_mean(wrong).mean())


def _running_mean(values: Array) -> Array:
    means: Array = np.cumsum(values) / np.arange(1, len(values) + 1)
    return means
