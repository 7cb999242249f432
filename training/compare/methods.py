"""The methods that are compared: each a row of cascades, from dearest to cheapest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from offramp.decision.confidence import Measure
from offramp.decision.evidence import Evidence
from offramp.decision.family import Family
from offramp.decision.frontier import Frontier
from offramp.decision.thresholds import GlobalThreshold
from training.compare.cascade import Cascade, View, plain

# Tiers of one exit, trained by themselves: no part of the cascade, but there to be compared with.
ALONE = "alone@"
BETWEEN = 40


@dataclass(frozen=True, slots=True)
class Method:
    """cascades: those that a method can run, worked out from the choosing evidence alone.

    Dearest first; none where the evidence lacks the exits that it needs. source: where it was
    published.
    """

    name: str
    source: str
    cascades: Callable[[Evidence], list[Cascade]]


def small_exits(evidence: Evidence) -> list[int]:
    """Where the exits of the first tier stand in the evidence; none where it is the last too."""
    first = evidence.exits[_cascade(evidence)[0]].tier
    return [] if first == evidence.exits[-1].tier else _places(evidence, first)


def large_exits(evidence: Evidence) -> list[int]:
    """Where the exits of the last tier stand in the evidence."""
    return _places(evidence, evidence.exits[-1].tier)


def _places(evidence: Evidence, tier: str) -> list[int]:
    return [place for place, e in enumerate(evidence.exits) if e.tier == tier]


def _cascade(evidence: Evidence) -> list[int]:
    return [place for place, e in enumerate(evidence.exits) if not e.tier.startswith(ALONE)]


def _each_alone(evidence: Evidence, exits: Sequence[int]) -> list[Cascade]:
    """Every one of the exits answering everything, the dearest first."""
    return [
        Cascade(plain(evidence, [place]), Measure.MAX_PROB, (0.0,)) for place in reversed(exits)
    ]


def _along(
    family: Callable[[Evidence, Measure], Family], view: View, measure: Measure, evidence: Evidence
) -> list[Cascade]:
    """Points of a family, with more between them where few examples part the points far."""
    if len(view.exits) < 2:
        return []
    laid = family(view.of(evidence), measure)
    costs = [point.forecast.mean_cost for point in laid.points]
    between = [laid.at_cost(cost) for cost in np.geomspace(costs[0], costs[-1], BETWEEN)[1:-1]]
    points = sorted([*laid.points, *between], key=lambda point: -point.forecast.mean_cost)
    distinct = dict.fromkeys(point.thresholds for point in points)
    return [Cascade(view, measure, thresholds) for thresholds in distinct]


def full_model(evidence: Evidence) -> list[Cascade]:
    """The large tier at full depth, with nothing before it."""
    return _each_alone(evidence, large_exits(evidence)[-1:])


def small_alone(evidence: Evidence) -> list[Cascade]:
    """The student, whatever it says."""
    return _each_alone(evidence, small_exits(evidence)[-1:])


def truncated(evidence: Evidence) -> list[Cascade]:
    """The large tier cut at one depth for all texts."""
    return _each_alone(evidence, large_exits(evidence))


def trained_alone(evidence: Evidence) -> list[Cascade]:
    """Models with one exit, each trained by itself for its depth."""
    alone = [place for place, e in enumerate(evidence.exits) if e.tier.startswith(ALONE)]
    return _each_alone(evidence, alone)


def entropy_exit(evidence: Evidence) -> list[Cascade]:
    """The large tier's exits with one threshold on the entropy, uncalibrated as in the paper.

    With two labels and calibrated alike it would be the same rule as one threshold on max_prob.
    """
    view = plain(evidence, large_exits(evidence), calibrated=False)
    return _along(GlobalThreshold, view, Measure.ENTROPY, evidence)


def two_tiers(evidence: Evidence) -> list[Cascade]:
    """The small tier, then the large one at full depth; one threshold between them."""
    view = plain(evidence, [*small_exits(evidence)[-1:], *large_exits(evidence)[-1:]])
    return _along(GlobalThreshold, view, Measure.MAX_PROB, evidence)


def multi_exit(evidence: Evidence) -> list[Cascade]:
    """The large tier's exits with a temperature each and one threshold for all."""
    view = plain(evidence, large_exits(evidence))
    return _along(GlobalThreshold, view, Measure.MAX_PROB, evidence)


def both_together(evidence: Evidence, measure: Measure = Measure.MAX_PROB) -> list[Cascade]:
    """All tiers and all their exits as the bundle reads them, on the frontier."""
    kept = _cascade(evidence)
    view = View(tuple(kept), tuple(evidence.readouts[place] for place in kept))
    return _along(Frontier, view, measure, evidence)


FULL = Method("full model", "", full_model)
OURS = Method("both together (this project)", "", both_together)
METHODS = (
    FULL,
    Method("small tier alone", "", small_alone),
    Method("truncated, one exit", "", truncated),
    Method("entropy exit", "DeeBERT, 2004.12993", entropy_exit),
    Method("two tiers only", "TangoBERT, 2204.06271", two_tiers),
    Method("multi-exit only", "Right Tool, 2004.07453", multi_exit),
    OURS,
)
TRAINED_ALONE = Method("truncated, trained alone", "", trained_alone)
