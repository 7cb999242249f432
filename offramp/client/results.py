"""What a client sends and gets: small immutable values, no protobuf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from offramp.errors import OfframpError

# A text, or a pair of texts: question and passage, premise and hypothesis.
Text = str | tuple[str, str]


class Outcome(StrEnum):
    """Why a request left where it did."""

    CONFIDENT = "confident"
    LAST_EXIT = "last_exit"
    DEADLINE = "deadline"
    DEGRADED = "degraded"
    UNSPECIFIED = "unspecified"


@dataclass(frozen=True, slots=True)
class Override:
    """What one request asks for beyond the route's policy, within the limits the route allows.

    min_confidence: thresholds below this are raised to it (0..1).
    max_cost: exits that cost more than this, relative to full depth, are not run.
    last_exit: the deepest exit that may be run, for example "large@4".
    full_depth: straight to the last exit: the reference answer, at the reference cost.

    max_cost and last_exit void the guarantee of a certified policy for this request.
    """

    min_confidence: float | None = None
    max_cost: float | None = None
    last_exit: str | None = None
    full_depth: bool = False


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request cost beside full depth with no small tier; compute seconds, not waiting."""

    flops: float
    baseline_flops: float
    seconds: float
    baseline_seconds: float
    relative: float
    speedup: float


@dataclass(frozen=True, slots=True)
class ExitStep:
    """What one exit said, and the threshold it was held against (1: it could not answer)."""

    exit: str
    label: str
    confidence: float
    threshold: float


@dataclass(frozen=True, slots=True)
class TierStep:
    """Seconds that one tier took; the total is as the router saw it, network included."""

    tier: str
    total_seconds: float
    queue_seconds: float
    tokenize_seconds: float
    compute_seconds: float


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds from a request's arrival at the router to its answer, and tier by tier."""

    total_seconds: float
    tiers: tuple[TierStep, ...]


@dataclass(frozen=True, slots=True)
class Classification:
    """An answer that explains itself.

    probabilities: calibrated, most likely label first.
    exit: the exit that answered.  escalated: whether it went beyond the first tier.
    thresholds: the plan in force for this request.  steps: every exit that was run, in order.
    truncated: whether the text was cut to the model's length.
    """

    label: str
    confidence: float
    probabilities: Mapping[str, float]
    exit: str
    outcome: Outcome
    escalated: bool
    cost: Cost
    thresholds: Mapping[str, float]
    steps: tuple[ExitStep, ...]
    timing: Timing
    bundle_id: str
    policy_version: int
    route: str
    tokens: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class ItemFailure:
    """Why one text of a batch or stream has no answer; the others are not affected."""

    error: OfframpError
