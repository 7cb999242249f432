"""Exit plans: a threshold per exit and the last exit allowed; the rule that every tier applies."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from offramp.decision.confidence import Measure

NEVER = 1.0


@dataclass(frozen=True, slots=True)
class ExitPlan:
    """Where a text may leave (thresholds by exit name) and where it must (last_exit)."""

    thresholds: MappingProxyType[str, float]
    last_exit: str
    measure: Measure = Measure.MAX_PROB

    def passes(self, exit_name: str, confidence: float) -> bool:
        """Whether `confidence` is enough to answer at this exit.

        A threshold of 1 means never: a float that saturates at 1.0 must not slip through.
        """
        threshold = self.thresholds.get(exit_name, NEVER)
        return threshold < NEVER and confidence >= threshold
