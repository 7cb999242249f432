"""What the papers' table says in the end: who is fastest, where the combination does not win."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.papers.points import GRID, at_speedup
from training.compare.methods import OURS
from training.compare.ways import Way


@dataclass(frozen=True, slots=True)
class Reached:
    """A method at an allowed loss, as means over the seeds.

    error: of the loss.  spread: of the wall-clock speedup over the rounds, relative to it.
    """

    method: str
    limit: float
    lost: float
    error: float
    speedup_wall: float
    speedup_flops: float
    spread: float

    @property
    def kept(self) -> bool:
        """Whether the loss on the test file is within the limit, give or take a standard error."""
        return self.lost <= self.limit + self.error


def best(points: Sequence[Reached]) -> Reached | None:
    """The fastest on the wall clock of those that kept the limit."""
    return max((p for p in points if p.kept), key=lambda point: point.speedup_wall, default=None)


def level(one: Reached, other: Reached) -> bool:
    """Whether the clock cannot tell two methods apart: they differ by less than rounds do."""
    slower, faster = sorted((one.speedup_wall, other.speedup_wall))
    return faster - slower <= faster * max(one.spread, other.spread)


@dataclass(frozen=True, slots=True)
class Gap:
    """The combination against the best of the others at one speedup in FLOPs, accuracy as a share.

    ahead: by how much the combination is the more accurate.  error: standard error of that.
    expected: by how much the choosing evidence had it ahead.
    """

    speedup: float
    other: str
    ahead: float
    error: float
    expected: float


def gaps(by_seed: Sequence[Sequence[Way]]) -> tuple[Gap, ...]:
    """At every speedup of GRID that the combination and some other method can do."""
    found = [_gap_at(by_seed, float(speedup)) for speedup in GRID]
    return tuple(gap for gap in found if gap is not None)


def behind(found: Sequence[Gap]) -> tuple[Gap, ...]:
    """Where the combination is behind by more than a standard error."""
    return tuple(gap for gap in found if gap.ahead < -gap.error)


def worst(found: Sequence[Gap]) -> Gap | None:
    """Where the combination is furthest behind, or least ahead."""
    return min(found, key=lambda gap: gap.ahead, default=None)


def _gap_at(by_seed: Sequence[Sequence[Way]], speedup: float) -> Gap | None:
    found = [_standings(ways, speedup) for ways in by_seed]
    names = set.intersection(*(set(standings) for standings in found))
    if OURS.name not in names or len(names) < 2:
        return None
    means = {name: float(np.mean([s[name].right.mean() for s in found])) for name in names}
    other = max(names - {OURS.name}, key=lambda name: means[name])
    pairs = [(standings[OURS.name], standings[other]) for standings in found]
    return Gap(
        speedup,
        other,
        ahead=means[OURS.name] - means[other],
        error=float(np.mean([_error(ours.right - theirs.right) for ours, theirs in pairs])),
        expected=float(np.mean([theirs.loss - ours.loss for ours, theirs in pairs])),
    )


@dataclass(frozen=True, slots=True)
class _Standing:
    """A method at a speedup: its right answers (N,), and the loss that evidence had foretold."""

    right: NDArray[np.float64]
    loss: float


def _standings(ways: Sequence[Way], speedup: float) -> Mapping[str, _Standing]:
    """By method, for those that can be so fast."""
    return {
        way.method.name: _Standing(way.measured[place].right.astype(np.float64), way.losses[place])
        for way in ways
        if (place := at_speedup(way, speedup)) is not None
    }


def _error(differences: NDArray[np.float64]) -> float:
    return float(differences.std() / np.sqrt(len(differences)))
