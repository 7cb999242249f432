"""Guarantees: the cheapest thresholds whose loss against full depth is certified on evidence.

The loss is counted against the same cascade's last exit, for texts drawn like the evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from offramp.decision import risk
from offramp.decision.confidence import Measure
from offramp.decision.evidence import Evidence
from offramp.decision.family import Family, OperatingPoint
from offramp.decision.plan import NEVER
from offramp.decision.risk import Losses, Method
from offramp.decision.simulate import chosen_exits

DEFAULT_CONFIDENCE = 0.95


class Loss(StrEnum):
    """What is kept under a limit, as the objective that asks for it is spelled."""

    ACCURACY = "max_accuracy_loss"
    DISAGREEMENT = "max_disagreement"


@dataclass(frozen=True, slots=True)
class Terms:
    """What is to be certified. confidence: 1 - delta; Method.CRC has none and does not read it."""

    loss: Loss
    limit: float
    method: Method = Method.LTT
    confidence: float = DEFAULT_CONFIDENCE

    def __str__(self) -> str:
        """In plain words."""
        amount = f"{100 * self.limit:g}"
        if self.loss is Loss.ACCURACY:
            unit = "point" if amount == "1" else "points"
            promise = f"at most {amount} {unit} of accuracy lost to full depth"
        else:
            promise = f"at most {amount}% of answers differ from full depth"
        if self.method is Method.CRC:
            return f"{promise}, in expectation, not with a confidence"
        return f"{promise}, with confidence {self.confidence:g}"


@dataclass(frozen=True, slots=True)
class Guarantee:
    """What was certified of a threshold vector.

    examples: how many certified it.  observed: the mean loss on them.
    bound: the least limit that these thresholds would have passed by themselves; what is certified
        is the limit of the terms.
    """

    terms: Terms
    examples: int
    observed: float
    bound: float

    def __str__(self) -> str:
        """In plain words."""
        terms = self.terms
        measured = (
            f"{terms.method} on {self.examples:,} texts: "
            f"seen {100 * self.observed:.2f}, bound {100 * self.bound:.2f}"
        )
        return f"{terms} ({measured})"


def certified(
    family: Family, certifying: Evidence, terms: Terms
) -> tuple[OperatingPoint, Guarantee]:
    """The cheapest point of a family that is certified, and what was certified of it.

    certifying: examples that did not make the family. Full depth itself is no candidate: it loses
    nothing, and saves nothing. Raises TooThinError where no candidate is certified.
    """
    candidates = [p for p in family.points if min(p.thresholds[:-1], default=NEVER) < NEVER]
    vectors = [point.thresholds for point in candidates]
    losses = losses_of(certifying, vectors, family.measure, terms)
    delta = 1 - terms.confidence
    index = risk.certify(losses, terms.limit, delta, terms.method)
    worst = losses[: index + 1].max(axis=0) if terms.method is Method.CRC else losses[index]
    bound = risk.upper_bound(worst, delta, terms.method)
    observed = float(losses[index].mean())
    return candidates[index], Guarantee(terms, losses.shape[1], observed, bound)


def losses_of(
    evidence: Evidence, vectors: Sequence[Sequence[float]], measure: Measure, terms: Terms
) -> Losses:
    """Losses (P, N) of P threshold vectors on N examples, as the terms count them.

    Disagreement: the answer differs from full depth's. Accuracy: it is wrong and full depth's is
    right, which bounds the net loss from above; for WSR the net loss, -1 where it is the other way
    round.
    """
    rows = np.arange(len(evidence.labels))
    scores = evidence.confidences(measure)
    exits = np.stack([chosen_exits(scores, thresholds) for thresholds in vectors])
    if terms.loss is Loss.DISAGREEMENT:
        answers = evidence.answers()
        differs: Losses = answers[exits, rows] != answers[-1]
        return differs
    correct = evidence.correct()
    if terms.method is Method.WSR:
        net: Losses = correct[-1].astype(np.float64) - correct[exits, rows]
        return net
    lost: Losses = correct[-1] & ~correct[exits, rows]
    return lost
