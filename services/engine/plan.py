"""An exit plan as one tier applies it: thresholds by stage instead of by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from offramp.decision.confidence import Measure
from offramp.decision.plan import NEVER, ExitPlan


@dataclass(frozen=True, slots=True)
class StagePlan:
    """thresholds: one per stage of this tier. last: the stage at which every row leaves."""

    thresholds: tuple[float, ...]
    last: int
    measure: Measure

    @classmethod
    def of(cls, plan: ExitPlan, exits: Sequence[str]) -> StagePlan:
        """The plan for a tier with these exits.

        Exits that the plan does not list never answer. A last exit that is not of this tier (or
        empty) stands for a deeper tier: the tier's own last exit is its last.
        """
        thresholds = tuple(plan.thresholds.get(name, NEVER) for name in exits)
        last = exits.index(plan.last_exit) if plan.last_exit in exits else len(exits) - 1
        return cls(thresholds, last, plan.measure)
