"""A held-out part that nothing of the training part stands in.

Some data sets (SST-2 among them) hold sentences and also fragments of the same sentences. Whole
texts are drawn for the held-out part; every fragment of a held-out text leaves the training part,
and no text that is also a fragment of a training text is held out. Fragments are training matter:
only whole texts are held out, since those are what will be served.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data import LabelledTexts, Text

PREFIX = 3
# A longer text is not looked for inside others: real fragments are short.
LONGEST_FRAGMENT = 64

Tokens = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """Indices into the data: what to fit the models on, and what to hold out."""

    train: NDArray[np.intp]
    held_out: NDArray[np.intp]


def split(data: LabelledTexts, share: float, seed: int) -> Split:
    """Hold out about `share` of the whole texts; what would stand in both parts drops out."""
    keys = _keys(data.texts)
    inside = _inside(keys)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(_whole(keys, inside)))
    count = max(1, round(len(order) * share))
    held, kept = order[:count], order[count:]
    touched_by_held = {keys[i] for i in held}.union(*(inside[i] for i in held))
    touched_by_kept = {keys[i] for i in kept}.union(*(inside[i] for i in kept))
    train = [i for i, key in enumerate(keys) if key not in touched_by_held]
    unambiguous = data.targets.max(axis=1) > 0.5
    held_out = [i for i in held if keys[i] not in touched_by_kept and unambiguous[i]]
    return Split(np.asarray(train, dtype=np.intp), np.sort(np.asarray(held_out, dtype=np.intp)))


def whole(texts: Sequence[Text]) -> NDArray[np.bool_]:
    """Which of the texts (N,) are no fragment of another one."""
    keys = _keys(texts)
    return _whole(keys, _inside(keys))


def _whole(keys: list[Tokens], inside: list[set[Tokens]]) -> NDArray[np.bool_]:
    contained = set().union(*inside)
    return np.asarray([key not in contained for key in keys], dtype=np.bool_)


def _inside(keys: list[Tokens]) -> list[set[Tokens]]:
    fragments = FragmentIndex(keys)
    return [fragments.inside(key) for key in keys]


def _keys(texts: Sequence[Text]) -> list[Tokens]:
    return [_tokens(text.text, text.pair) for text in texts]


def _tokens(text: str, pair: str | None) -> Tokens:
    """A text's key: case and spacing do not make two texts distinct."""
    tokens = tuple(text.lower().split())
    return tokens if pair is None else (*tokens, "\0", *pair.lower().split())


class FragmentIndex:
    """Finds which of the known texts stand inside a text, as runs of whole words."""

    def __init__(self, keys: list[Tokens]) -> None:
        self._known = set(keys)
        self._lengths: dict[Tokens, set[int]] = {}
        for key in keys:
            if len(key) <= LONGEST_FRAGMENT:
                self._lengths.setdefault(key[:PREFIX], set()).add(len(key))

    def inside(self, key: Tokens) -> set[Tokens]:
        """The known texts that are proper fragments of `key`."""
        return {run for run in self._runs(key) if len(run) < len(key) and run in self._known}

    def _runs(self, key: Tokens) -> Iterator[Tokens]:
        for start in range(len(key)):
            for prefix in range(1, PREFIX + 1):
                for length in self._lengths.get(key[start : start + prefix], ()):
                    # A shorter prefix stands only for texts that are no longer than it.
                    reaches = length == prefix or (prefix == PREFIX and length > PREFIX)
                    if reaches and start + length <= len(key):
                        yield key[start : start + length]
