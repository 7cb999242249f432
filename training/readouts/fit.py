"""The readouts of a whole cascade, fitted on the part of the held-out texts that is kept for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.decision.readout import Readout
from training.readouts.calibrators import pick
from training.readouts.mixing import pick_mix
from training.readouts.scores import fit_score


def fit(
    logits: NDArray[np.floating],
    labels: NDArray[np.integer],
    tiers: Sequence[int],
    seed: int,
    mixing: bool = True,
) -> tuple[Readout, ...]:
    """One readout per exit from raw logits (E, N, C); `tiers` says how many exits each tier has.

    mixing: combine the answers of the exits passed where that clearly beats the exit alone.

    Mix first, then the calibrator of what it gives, then the learned score, whose question needs
    to know what the last exit of the cascade will answer.
    """
    starts = [first for first, count in _spans(tiers) for _ in range(count)]
    histories = [logits[start : exit_index + 1] for exit_index, start in enumerate(starts)]
    plain = [_without_score(history, labels, seed, mixing) for history in histories]
    return with_scores(plain, histories, labels)


def with_scores(
    plain: Sequence[Readout],
    histories: Sequence[NDArray[np.floating]],
    labels: NDArray[np.integer],
) -> tuple[Readout, ...]:
    """The readouts of all exits of a cascade, each with a learned score fitted on its history."""
    probabilities = [r.probabilities(h) for r, h in zip(plain, histories, strict=True)]
    correct = np.stack([found.argmax(axis=1) == labels for found in probabilities])
    scores = [
        fit_score(found, history, stay)
        for found, history, stay in zip(probabilities, histories, _stay(correct), strict=True)
    ]
    return tuple(
        Readout(readout.calibrator, readout.mix, score)
        for readout, score in zip(plain, scores, strict=True)
    )


def _spans(tiers: Sequence[int]) -> list[tuple[int, int]]:
    """The first exit of each tier, and how many it has."""
    firsts = np.cumsum([0, *tiers[:-1]]).tolist()
    return list(zip(firsts, tiers, strict=True))


def _without_score(
    history: NDArray[np.floating], labels: NDArray[np.integer], seed: int, mixing: bool
) -> Readout:
    mix = pick_mix(history, labels, seed) if mixing else None
    mixed = Readout(mix=mix).mixed(history)
    return Readout(pick(mixed, labels, seed), mix)


def _stay(correct: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether going on from each exit would not have changed the answer for the better (E, N).

    At the last exit there is nothing to go on to: whether its answer is right.
    """
    stay: NDArray[np.bool_] = correct | ~correct[-1]
    stay[-1] = correct[-1]
    return stay
