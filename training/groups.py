"""Texts that must stand on the same side of a split, because a model that saw one knows the other.

Single texts: those that differ only in case and spacing. Pairs: also those that share a text, as
the three hypotheses of one premise do in SNLI.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

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
    firsts = _ties([side_words(text.text) for text in texts])
    seconds = _ties([side_words(text.pair or "") for text in texts])
    for ties in ([*firsts, *seconds], firsts):
        found = _joined(own, ties)
        if np.bincount(found).max() <= max(MOST_SHARED, LARGEST_GROUP * len(texts)):
            return found
    return own


def _numbered(keys: Sequence[Words]) -> NDArray[np.intp]:
    numbers: dict[Words, int] = {}
    return np.asarray([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.intp)


def _ties(sides: Sequence[Words]) -> list[tuple[int, int]]:
    """Texts (i, j) that share a side: each with the first one that has it."""
    counts = Counter(sides)
    most = max(MOST_SHARED, MOST_SHARE * len(sides))
    first: dict[Words, int] = {}
    return [
        (first.setdefault(side, i), i) for i, side in enumerate(sides) if 1 < counts[side] <= most
    ]


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
