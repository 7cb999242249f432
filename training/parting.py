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
from training.data import LabelledTexts
from training.groups import groups

READOUT_SHARE = 0.4
LEAST_PER_PART = 40


class TooFewToCalibrateError(OfframpError):
    """The held-out part is too small to say anything about confidence."""


@dataclass(frozen=True, slots=True)
class HeldOutParts:
    """Positions of the held-out texts, ascending; no text, nor its kin, is in two parts.

    Of kin (texts of one group) one certifies: guarantees are tested on texts drawn independently.
    """

    readouts: NDArray[np.intp]
    choosing: NDArray[np.intp]
    certifying: NDArray[np.intp]


def part(held_out: LabelledTexts, readout_share: float, seed: int) -> HeldOutParts:
    """Part held-out texts by label: `readout_share` for readouts, the rest in two halves.

    Whole groups of them are dealt out, see `training.groups`: thresholds that were chosen on a
    text's kin would have seen it before it certifies.

    Raises TooFewToCalibrateError, with the number needed, where a part would be too small, and
    where there is one label only.
    """
    labels, least = held_out.labels, least_held_out(readout_share)
    if len(labels) < least:
        raise TooFewToCalibrateError(
            f"{len(labels)} texts are held out, at least {least} are needed to calibrate: "
            f"{LEAST_PER_PART} or more each for readouts, thresholds and guarantees; "
            "bring more texts; where offramp train parts them itself, --hold-out takes more"
        )
    if len(np.unique(labels)) < 2:
        raise TooFewToCalibrateError(
            "all held-out texts have the same label: nothing can be learned from them about when "
            "an answer is wrong; bring texts of every label"
        )
    rest = (1.0 - readout_share) / 2
    group = groups(held_out.texts)
    dealt = deal(labels, (readout_share, rest, rest), seed, group)
    readouts, choosing, certifying = (np.flatnonzero(dealt == number) for number in range(3))
    if not (len(readouts) and len(choosing) and len(certifying)):
        raise TooFewToCalibrateError(
            f"the {len(labels)} held-out texts are all but the same: leave case and punctuation "
            f"aside, and {len(np.unique(group))} are left; bring texts that differ"
        )
    return HeldOutParts(readouts, choosing, _one_of_each(certifying, group, seed))


def _one_of_each(
    positions: NDArray[np.intp], group: NDArray[np.intp], seed: int
) -> NDArray[np.intp]:
    """One position, at random, of each group."""
    shuffled = np.random.default_rng(seed).permutation(positions)
    _, first = np.unique(group[shuffled], return_index=True)
    return np.sort(shuffled[first])


def least_held_out(readout_share: float) -> int:
    """How many texts must be held out, so that each of the three parts has enough of them."""
    least_share = min(readout_share, (1.0 - readout_share) / 2)
    # One more: dealing in whole texts may leave a part one short of its share.
    return math.ceil((LEAST_PER_PART + 1) / least_share)


def deal(
    labels: NDArray[np.integer],
    shares: Sequence[float],
    seed: int,
    group: NDArray[np.intp] | None = None,
) -> NDArray[np.intp]:
    """The part (N,), 0 to len(shares) - 1, of each example: at random, by label, in these shares.

    group (N,): examples of the same number go together, by the label of the first; None: each by
    itself. Each part gets its share of every label and of the whole, to within a group or so.
    """
    rng = np.random.default_rng(seed)
    own = np.arange(len(labels)) if group is None else group
    _, leaders, member, sizes = np.unique(
        own, return_index=True, return_inverse=True, return_counts=True
    )
    order = rng.permutation(len(leaders))
    # Labels in random order, so that rare ones do not always begin with the same part.
    _, kinds = np.unique(labels[leaders], return_inverse=True)
    order = order[np.argsort(rng.permutation(len(leaders))[kinds][order], kind="stable")]
    wanted, dealt = np.asarray(shares), np.zeros(len(shares))
    parts = np.empty(len(leaders), dtype=np.intp)
    for number, count in zip(order, np.cumsum(sizes[order]), strict=True):
        parts[number] = behind = int(np.argmax(wanted * count - dealt))
        dealt[behind] += sizes[number]
    return parts[member]


def folds(
    labels: NDArray[np.integer], count: int, seed: int
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """`count` pairs of positions, to fit on and to test on; every example is tested on once."""
    dealt = deal(labels, (1.0 / count,) * count, seed)
    return [(np.flatnonzero(dealt != i), np.flatnonzero(dealt == i)) for i in range(count)]
