"""A row: one text on its way through the stages; it holds its own state."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from offramp.errors import DeadlineError, OfframpError
from services.backends.base import Encoded
from services.engine.plan import StagePlan

TOO_LATE = "time ran out before the first exit could answer; allow more time or send fewer texts"


class Step(NamedTuple):
    """What one exit saw of a row: index of the likeliest label, confidence, threshold."""

    label: int
    confidence: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Answer:
    """Where and how a row left.

    probabilities: calibrated, one per label.
    confident: whether the plan's threshold was reached at that exit.
    deadline_reached: whether time ran out before a deeper exit could be run.
    """

    stage: int
    probabilities: Sequence[float]
    confident: bool
    deadline_reached: bool = False


@dataclass(slots=True)
class Timing:
    """Seconds. compute: of the batches the row was in; compute_share: divided by their rows."""

    queue: float = 0.0
    tokenize: float = 0.0
    compute: float = 0.0
    compute_share: float = 0.0


@dataclass(slots=True, eq=False)
class Row:
    """A text with its plan; the engine sets all but the first seven, and `encoded` of a text.

    history: raw logits (C,) of the exits that the row passed in this tier.

    deadline: on the engine's clock; infinity where there is none.
    deliver: called on the event loop with rows that ended together.
    background: runs only where no other row waits.
    encoded: given in place of the text where another tier tokenised it.
    outcome: set once, when the row ends; a cancelled row ends without one.
    """

    id: int
    text: str
    text_pair: str | None
    plan: StagePlan
    deliver: Deliver
    deadline: float = math.inf
    background: bool = False
    cancelled: bool = False
    encoded: Encoded | None = None
    state: Any = None
    waiting_since: float = 0.0
    history: list[NDArray[np.float32]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    probabilities: Sequence[float] = ()
    timing: Timing = field(default_factory=Timing)
    outcome: Answer | OfframpError | None = None

    @property
    def tokens(self) -> int:
        """Number of tokens; 0 until the row is tokenised."""
        return self.encoded.tokens if self.encoded else 0

    def tokenized(self, encoded: Encoded, started: float, seconds: float) -> None:
        """Book the tokenisation; the row waits from its end on."""
        self.encoded = encoded
        self.timing.queue += started - self.waiting_since
        self.timing.tokenize = seconds
        self.waiting_since = started + seconds

    def ran(self, started: float, seconds: float, rows: int) -> float:
        """Book a batch of so many rows; the row waits from its end on. Returns what it waited."""
        waited = started - self.waiting_since
        timing = self.timing
        timing.queue += waited
        timing.compute += seconds
        timing.compute_share += seconds / rows
        self.waiting_since = started + seconds
        return waited

    def best_so_far(self) -> Answer | DeadlineError:
        """What a row is worth whose time is up: the answer of the last exit it passed, if any."""
        if not self.steps:
            return DeadlineError(TOO_LATE)
        return Answer(
            len(self.steps) - 1, self.probabilities, confident=False, deadline_reached=True
        )


Deliver: TypeAlias = Callable[[list[Row]], None]
