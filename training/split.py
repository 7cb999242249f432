"""A held-out part that nothing of the training part stands in.

Some data sets (SST-2 among them) hold sentences and also fragments of the same sentences. Whole
texts are drawn for the held-out part, label by label; every fragment of a held-out text, and every
text of its group (see `training.groups`), leaves the training part. Fragments are training matter:
only whole texts are held out, since those are what will be served.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data import LabelledTexts, Text
from training.fragments import FragmentIndex, words_of
from training.groups import groups

Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Split:
    """Indices into the data: what to fit the models on, and what to hold out."""

    train: Indices
    held_out: Indices


def split(data: LabelledTexts, share: float, seed: int) -> Split:
    """Hold out about `share` of the whole texts of every label; their kin drop out of training.

    A label of two whole texts or more has one in the held-out part at least. Texts whose labels
    are at odds are never held out.
    """
    keys = [words_of(text) for text in data.texts]
    index = FragmentIndex(keys)
    inside = [index.inside(key) for key in keys]
    fragments = set().union(*inside)
    whole = np.asarray([key not in fragments for key in keys], dtype=bool)
    clear = whole & (data.targets.max(axis=1) > 0.5)
    group = groups(data.texts)
    drawn = _draw(group, clear, data.labels, share, np.random.default_rng(seed))
    held = np.flatnonzero(drawn[group] & clear)
    touched = {keys[i] for i in held}.union(*(inside[i] for i in held))
    train = [i for i, key in enumerate(keys) if not drawn[group[i]] and key not in touched]
    return Split(np.asarray(train, dtype=np.intp), held)


def apart(texts: Sequence[Text], held: Sequence[Text]) -> Indices:
    """Indices of the texts that no held-out text gives away.

    What drops out: a text that is held out, a fragment of one, and one that is held out by half.
    """
    keys, held_keys = [words_of(text) for text in texts], [words_of(text) for text in held]
    index, held_index = FragmentIndex(keys), FragmentIndex(held_keys)
    touched = set(held_keys).union(*(index.inside(key) for key in held_keys))
    kept = [
        i
        for i, key in enumerate(keys)
        if key not in touched
        and not any(2 * len(part) >= len(key) for part in held_index.inside(key))
    ]
    return np.asarray(kept, dtype=np.intp)


def quotas(counts: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """How many to hold out of each label, of which there are `counts` (C,).

    The sum is the share of all of them, the rest going to the labels that rounding cut most; a
    label with two examples or more gives one at least, and keeps one at least.
    """
    exact = counts * share
    found = np.floor(exact).astype(np.int64)
    missing = round(float(exact.sum())) - int(found.sum())
    found[np.argsort(found - exact, kind="stable")[:missing]] += 1
    least = (counts >= 2).astype(np.int64)
    held: NDArray[np.int64] = np.clip(found, least, np.maximum(counts - 1, 0))
    return held


def _draw(
    group: Indices,
    clear: NDArray[np.bool_],
    labels: NDArray[np.int64],
    share: float,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Which groups (G,) are held out: in random order, as long as their labels have room."""
    members: list[list[int]] = [[] for _ in range(int(group.max()) + 1)]
    for row in np.flatnonzero(clear):
        members[group[row]].append(int(labels[row]))
    room = quotas(np.bincount(labels[clear], minlength=int(labels.max()) + 1), share)
    drawn = np.zeros(len(members), dtype=bool)
    for number in rng.permutation(len(members)):
        own = members[number]
        if own and 2 * sum(room[label] > 0 for label in own) > len(own):
            drawn[number] = True
            np.subtract.at(room, own, 1)
    return drawn
