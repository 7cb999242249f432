"""Texts that must stand on the same side of a split, because a model that saw one knows the other.

Single texts: those that differ only in case, spacing and punctuation. Pairs: also those with their
sides swapped, and those that share a text, as the three hypotheses of one premise do in SNLI.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from training.data import Text
from training.fragments import Words, side_words, words_of

# A text that stands in more pairs than this (and in more than this share of them) is a category
# that is asked about, or a phrase that anybody would write; it ties nothing together.
MOST_SHARED = 10
MOST_SHARE = 0.01
# Ties that bind more than this share of all pairs would leave nothing representative to draw.
LARGEST_GROUP = 0.1


def groups(texts: Sequence[Text]) -> NDArray[np.intp]:
    """The number of each text's group (N,)."""
    own = _numbered([words_of(text) for text in texts])
    if not texts or texts[0].pair is None:
        return own
    both = _sides(texts)
    for sides in (both, both[: len(texts)]):
        found = _joined(own, _ties(sides, len(texts)))
        if np.bincount(found).max() <= max(MOST_SHARED, LARGEST_GROUP * len(texts)):
            return found
    return own


def _numbered(keys: Sequence[Words]) -> NDArray[np.intp]:
    numbers: dict[Words, int] = {}
    return np.asarray([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.intp)


def still_tied(texts: Sequence[Text], train: Iterable[int], held: Iterable[int]) -> int:
    """How many held-out pairs share a text with a training pair: ties that would bind too much."""
    if not texts or texts[0].pair is None:
        return 0
    binding = _binding(_sides(texts), len(texts))
    trained = {side for i in train for side in _two_sides(texts[i])} & binding
    return sum(not trained.isdisjoint(_two_sides(texts[i])) for i in held)


def _two_sides(text: Text) -> tuple[Words, Words]:
    return side_words(text.text), side_words(text.pair or "")


def _sides(texts: Sequence[Text]) -> list[tuple[Words, int]]:
    """Both sides of all pairs, each with its pair's index: all first ones, then all second ones."""
    both = [_two_sides(text) for text in texts]
    return [(sides[column], i) for column in (0, 1) for i, sides in enumerate(both)]


def _binding(sides: Sequence[tuple[Words, int]], pairs: int) -> set[Words]:
    """Sides that some pairs share, and not so many that they say nothing."""
    counts = Counter(side for side, _ in sides)
    most = max(MOST_SHARED, MOST_SHARE * pairs)
    return {side for side, count in counts.items() if 1 < count <= most}


def _ties(sides: Sequence[tuple[Words, int]], pairs: int) -> list[tuple[int, int]]:
    """Pairs (i, j) that share a text: each with the first one that has it."""
    binding = _binding(sides, pairs)
    first: dict[Words, int] = {}
    return [(first.setdefault(side, i), i) for side, i in sides if side in binding]


def _joined(own: NDArray[np.intp], ties: Sequence[tuple[int, int]]) -> NDArray[np.intp]:
    """Groups after joining those of tied texts."""
    if not ties:
        return own
    ends = own[np.asarray(ties, dtype=np.intp)]
    count = int(own.max()) + 1
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    _, component = connected_components(graph, directed=False)
    joined: NDArray[np.intp] = component.astype(np.intp)[own]
    return joined
