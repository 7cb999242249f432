"""Cost: what it takes to bring a text of n tokens to an exit, in FLOPs or in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class CostCurve:
    """constant + linear * n + quadratic * n^2 for n tokens."""

    constant: float = 0.0
    linear: float = 0.0
    quadratic: float = 0.0

    def at_one(self, tokens: float) -> float:
        """Cost at one token count, without NumPy, which takes over ten times as long."""
        return self.constant + tokens * (self.linear + tokens * self.quadratic)

    def at(self, tokens: ArrayLike) -> NDArray[np.float64]:
        """Cost at one or several token counts."""
        n = np.asarray(tokens, dtype=np.float64)
        return self.constant + n * (self.linear + n * self.quadratic)

    def __add__(self, other: CostCurve) -> CostCurve:
        return CostCurve(
            self.constant + other.constant,
            self.linear + other.linear,
            self.quadratic + other.quadratic,
        )


@dataclass(frozen=True, slots=True)
class ExitCost:
    """An exit of one tier with the cost from that tier's input up to it."""

    name: str
    tier: str
    flops: CostCurve


def cumulative(exits: Sequence[ExitCost]) -> tuple[CostCurve, ...]:
    """Cost of each exit from the start of the cascade: whole earlier tiers, then this tier so far.

    exits stand in the order of the cascade, those of one tier together.
    """
    curves: list[CostCurve] = []
    spent = CostCurve()
    for index, exit_cost in enumerate(exits):
        if index and exits[index - 1].tier != exit_cost.tier:
            spent = curves[-1]
        curves.append(spent + exit_cost.flops)
    return tuple(curves)


def relative(exits: Sequence[ExitCost], tokens: ArrayLike) -> NDArray[np.float64]:
    """Cost of each exit (E, N) where 1.0 is the last tier at full depth, with no tier before it."""
    n = np.asarray(tokens, dtype=np.float64)
    spent = np.stack([curve.at(n) for curve in cumulative(exits)])
    return spent / exits[-1].flops.at(n)
