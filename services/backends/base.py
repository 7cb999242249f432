"""The interface between the engine and whatever runs a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

# A text, and the second text of a pair where the model takes pairs.
Text: TypeAlias = tuple[str, str | None]
State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class Encoded:
    """A tokenised text, special tokens included.

    type_ids: which text of a pair each token belongs to; None where the model does not ask.
    truncated: whether the text was cut to the tier's max_tokens.
    """

    token_ids: Sequence[int]
    type_ids: Sequence[int] | None
    truncated: bool

    @property
    def tokens(self) -> int:
        """Number of tokens that the model sees."""
        return len(self.token_ids)


class Backend(ABC, Generic[State]):
    """Runs a model stage by stage. Called from one thread; State is opaque to the engine.

    A row's logits depend on that row alone, whatever the rows beside it (up to rounding).
    """

    name: str
    """What runs, for example "torch-cpu-fp32"."""

    precision: str
    """What it computes in, one of `offramp.bundle.PRECISIONS`; evidence is kept by it."""

    stages: int
    """Number of stages; stage i ends at exit i."""

    vocabulary: int
    """Token ids are below it."""

    @abstractmethod
    def prepare(self) -> None:
        """Called on the thread that will make all other calls, before any of them.

        And again where another thread takes over.
        """

    @abstractmethod
    def encode(self, texts: Sequence[Text]) -> list[Encoded]:
        """Tokenise texts in one go, each cut to the tier's max_tokens (pairs: longest first)."""

    @abstractmethod
    def begin(self, rows: Sequence[Encoded]) -> list[State]:
        """States from which stage 0 can be run, one per row."""

    def shape(self, rows: int, tokens: int) -> tuple[int, int]:
        """Rows and tokens that a batch is filled up to before a stage runs: here, none."""
        return rows, tokens

    @abstractmethod
    def run_stage(
        self, stage: int, rows: Sequence[State]
    ) -> tuple[list[State], NDArray[np.float32]]:
        """Run one stage on rows that stand before it.

        `rows` may come from different batches, in any order and number. Returns the states behind
        the stage and the logits of its exit (rows, labels), both in the order of `rows`. States
        given in are spent.
        """
