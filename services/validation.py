"""What a tier accepts: items and exit plans, with the field and the remedy where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from offramp.errors import InvalidRequestError, Violation, quoted
from offramp.rpc import wire
from offramp.v1 import common_pb2, tier_pb2
from services.engine.plan import StagePlan
from services.tokens import TokenRules

NO_SCORE = (
    "this bundle has no learned score for the exits of this tier; choose another measure, or add "
    "scores with `offramp calibrate`"
)
# Distinct plans that are kept: a router sends the same few over and over.
KNOWN_PLANS = 256


class ItemReader:
    """Checks the items of a tier.

    exits: of this tier. earlier: exits of tiers before it in the cascade. later: of those behind.
    tokens: which are taken in place of a text.
    learned: whether every exit of this tier has a score for the measure of that name.
    """

    def __init__(
        self,
        exits: Sequence[str],
        earlier: Sequence[str],
        later: Sequence[str],
        pairs: bool,
        tokens: TokenRules,
        *,
        learned: bool,
    ) -> None:
        self._tokens = tokens
        self._exits = tuple(exits)
        self._earlier = frozenset(earlier)
        self._known = (*earlier, *exits, *later)
        self._pairs = pairs
        self._learned = learned
        self._plan_of = lru_cache(maxsize=KNOWN_PLANS)(self._read_plan)

    def plan(self, item: tier_pb2.InferItem, path: str) -> StagePlan:
        """The plan of an item whose text, or tokens, are in order.

        Raises InvalidRequestError with every violation, its field below `path`.
        """
        if item.HasField("tokenized"):
            violations = self._tokens.violations(item.tokenized)
        else:
            violations = self._text_violations(item.input)
        try:
            plan = self._plan_of(item.plan.SerializeToString(deterministic=True))
        except InvalidRequestError as error:
            violations += error.violations
        if violations:
            raise InvalidRequestError(
                [Violation(f"{path}.{v.field}", v.description) for v in violations]
            )
        return plan

    def _text_violations(self, text: common_pb2.TextInput) -> list[Violation]:
        found = []
        if not text.text or text.text.isspace():
            found.append(Violation("input.text", "is empty; send a text with at least one word"))
        if self._pairs and (not text.text_pair or text.text_pair.isspace()):
            found.append(
                Violation("input.text_pair", "is missing or empty; this tier classifies pairs")
            )
        if not self._pairs and text.HasField("text_pair"):
            found.append(
                Violation("input.text_pair", "is set, but this tier takes one text; leave it out")
            )
        return found

    def _read_plan(self, content: bytes) -> StagePlan:
        plan = common_pb2.ExitPlan.FromString(content)
        violations = self._threshold_violations(plan)
        if plan.confidence not in common_pb2.ConfidenceMeasure.values():
            violations.append(
                Violation("plan.confidence", f"{plan.confidence} is no confidence measure")
            )
        if plan.confidence == common_pb2.CONFIDENCE_MEASURE_LEARNED and not self._learned:
            violations.append(Violation("plan.confidence", NO_SCORE))
        if plan.last_exit and plan.last_exit not in self._known:
            violations.append(Violation("plan.last_exit", self._unknown(plan.last_exit)))
        if plan.last_exit in self._earlier:
            advice = f"{plan.last_exit!r} lies before this tier; send the text to the tier it is of"
            violations.append(Violation("plan.last_exit", advice))
        if violations:
            raise InvalidRequestError(violations)
        return StagePlan.of(wire.plan_from_proto(plan), self._exits)

    def _threshold_violations(self, plan: common_pb2.ExitPlan) -> list[Violation]:
        found = []
        seen: set[str] = set()
        for index, entry in enumerate(plan.thresholds):
            path = f"plan.thresholds[{index}]"
            if entry.exit not in self._known:
                found.append(Violation(f"{path}.exit", self._unknown(entry.exit)))
            elif entry.exit in seen:
                found.append(Violation(f"{path}.exit", f"{entry.exit!r} is listed twice"))
            seen.add(entry.exit)
            if not 0.0 <= entry.threshold <= 1.0:  # also catches NaN
                advice = f"is {entry.threshold:g}; a threshold lies in 0..1 (1: never answers here)"
                found.append(Violation(f"{path}.threshold", advice))
        return found

    def _unknown(self, name: str) -> str:
        return f"{quoted(name)} is no exit of this bundle; it has: {', '.join(self._known)}"
