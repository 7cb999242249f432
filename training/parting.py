"""Parting examples: held-out texts in three for calibration, and folds for cross-validation.

Readouts are fitted on the first part, thresholds chosen on the second, guarantees tested on the
third: a guarantee that was tested on what its thresholds were chosen on would promise too much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.errors import OfframpError

READOUT_SHARE = 0.4
LEAST_PER_PART = 40


class TooFewToCalibrateError(OfframpError):
    """The held-out part is too small to say anything about confidence."""


@dataclass(frozen=True, slots=True)
class HeldOutParts:
    """Positions of the held-out texts, ascending; no text is in two parts."""

    readouts: NDArray[np.intp]
    choosing: NDArray[np.intp]
    certifying: NDArray[np.intp]


def part(labels: NDArray[np.integer], readout_share: float, seed: int) -> HeldOutParts:
    """Part held-out texts by label: `readout_share` for readouts, the rest in two halves.

    Raises TooFewToCalibrateError, with the number needed, where a part would be too small, and
    where there is one label only.
    """
    least = least_held_out(readout_share)
    if len(labels) < least:
        raise TooFewToCalibrateError(
            f"{len(labels)} texts are held out, at least {least} are needed to calibrate: "
            f"{LEAST_PER_PART} or more each for readouts, thresholds and guarantees; "
            "bring more data or hold out more of it (offramp train --hold-out)"
        )
    if len(np.unique(labels)) < 2:
        raise TooFewToCalibrateError(
            "all held-out texts have the same label: nothing can be learned from them about when "
            "an answer is wrong; bring texts of every label"
        )
    rest = (1.0 - readout_share) / 2
    dealt = deal(labels, (readout_share, rest, rest), seed)
    return HeldOutParts(*(np.flatnonzero(dealt == number) for number in range(3)))


def least_held_out(readout_share: float) -> int:
    """How many texts must be held out, so that each of the three parts has enough of them."""
    least_share = min(readout_share, (1.0 - readout_share) / 2)
    # One more: dealing in whole texts may leave a part one short of its share.
    return math.ceil((LEAST_PER_PART + 1) / least_share)


def deal(labels: NDArray[np.integer], shares: Sequence[float], seed: int) -> NDArray[np.intp]:
    """The part (N,), 0 to len(shares) - 1, of each example: at random, by label, in these shares.

    Each part gets its share of every label and of the whole, to within an example or so.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    # Labels in random order, so that rare ones do not always begin with the same part.
    _, kinds = np.unique(labels, return_inverse=True)
    order = order[np.argsort(rng.permutation(len(labels))[kinds][order], kind="stable")]
    wanted, dealt = np.asarray(shares), np.zeros(len(shares))
    parts = np.empty(len(labels), dtype=np.intp)
    for count, row in enumerate(order, start=1):
        parts[row] = behind = int(np.argmax(wanted * count - dealt))
        dealt[behind] += 1
    return parts


def folds(
    labels: NDArray[np.integer], count: int, seed: int
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """`count` pairs of positions, to fit on and to test on; every example is tested on once."""
    dealt = deal(labels, (1.0 / count,) * count, seed)
    return [(np.flatnonzero(dealt != i), np.flatnonzero(dealt == i)) for i in range(count)]
