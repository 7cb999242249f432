"""Methods laid out on one set of examples and measured on another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.compare.cascade import Cascade, Examples, Outcome
from training.compare.methods import Method
from training.compare.operating import cheapest_within, expected_loss, speedup


@dataclass(frozen=True, slots=True)
class Measured:
    """What one cascade did with N examples.

    outcome: example by example.  right: (N,).  speedup: in FLOPs, against the full model.
    """

    outcome: Outcome
    right: NDArray[np.bool_]
    speedup: float

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(self.right.mean())


@dataclass(frozen=True, slots=True)
class Way:
    """A method with all its cascades, dearest first, and what each did.

    losses, speedups: (P,) as expected on the choosing examples.
    measured: (P,) on the others, which had no part in any choice.
    """

    method: Method
    cascades: tuple[Cascade, ...]
    losses: tuple[float, ...]
    speedups: tuple[float, ...]
    measured: tuple[Measured, ...]

    def within(self, limit: float) -> int | None:
        """Place of the fastest cascade that is expected to lose no more than `limit` accuracy."""
        return cheapest_within(self.losses, self.speedups, limit)


def compare(methods: Sequence[Method], choosing: Examples, measured: Examples) -> tuple[Way, ...]:
    """Every method that the exits allow: all choices on `choosing`, all figures on `measured`."""
    found = []
    for method in methods:
        cascades = tuple(method.cascades(choosing.evidence))
        if cascades:
            chosen = choosing.run(cascades)
            found.append(
                Way(
                    method,
                    cascades,
                    tuple(expected_loss(choosing, outcome).mean for outcome in chosen),
                    tuple(speedup(choosing, outcome) for outcome in chosen),
                    tuple(measure(measured, outcome) for outcome in measured.run(cascades)),
                )
            )
    return tuple(found)


def measure(examples: Examples, outcome: Outcome) -> Measured:
    """Accuracy and speedup of an outcome on the examples it is of."""
    return Measured(outcome, outcome.answers == examples.labels, speedup(examples, outcome))
