"""A row: one text on its way through the stages; it holds its own state."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from offramp.errors import OfframpError
from services.backends.base import Encoded
from services.engine.plan import StagePlan


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
    """A text with its plan; the engine sets all but the first six.

    deadline: on the engine's clock; infinity where there is none.
    deliver: called on the event loop with rows that ended together.
    outcome: set once, when the row ends; a cancelled row ends without one.
    """

    id: int
    text: str
    text_pair: str | None
    plan: StagePlan
    deliver: Deliver
    deadline: float = math.inf
    cancelled: bool = False
    encoded: Encoded | None = None
    state: Any = None
    waiting_since: float = 0.0
    steps: list[Step] = field(default_factory=list)
    probabilities: Sequence[float] = ()
    timing: Timing = field(default_factory=Timing)
    outcome: Answer | OfframpError | None = None

    @property
    def tokens(self) -> int:
        """Number of tokens; 0 until the row is tokenised."""
        return self.encoded.tokens if self.encoded else 0


Deliver: TypeAlias = Callable[[list[Row]], None]
