"""Texts that stand inside other texts, as runs of whole words."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from training.data import Text

PREFIX = 3
# A longer text is not looked for inside others: real fragments are short.
LONGEST_FRAGMENT = 64
BETWEEN = "\0"

Words = tuple[str, ...]


def words_of(text: Text) -> Words:
    """A text's words: case and spacing do not make two texts distinct."""
    first = side_words(text.text)
    return first if text.pair is None else (*first, BETWEEN, *side_words(text.pair))


def side_words(side: str) -> Words:
    """The words of one side of a pair. Interned: every text shares the words of all."""
    return tuple(map(sys.intern, side.lower().split()))


def whole(texts: Sequence[Text]) -> NDArray[np.bool_]:
    """Which of the texts (N,) are no fragment of another one."""
    keys = [words_of(text) for text in texts]
    index = FragmentIndex(keys)
    fragments = set().union(*map(index.inside, keys))
    return np.asarray([key not in fragments for key in keys], dtype=np.bool_)


class FragmentIndex:
    """Finds which of the known texts stand inside a text."""

    def __init__(self, known: Iterable[Words]) -> None:
        self._known = {words for words in known if len(words) <= LONGEST_FRAGMENT}
        self._begin = {words[0] for words in self._known if words}
        self._lengths: dict[Words, set[int]] = {}
        for words in self._known:
            self._lengths.setdefault(words[:PREFIX], set()).add(len(words))

    def inside(self, words: Words) -> set[Words]:
        """The known texts that are proper fragments of a text."""
        return {run for run in self._runs(words) if len(run) < len(words) and run in self._known}

    def _runs(self, words: Words) -> Iterator[Words]:
        for start in range(len(words)):
            if words[start] not in self._begin:
                continue
            for prefix in range(1, PREFIX + 1):
                for length in self._lengths.get(words[start : start + prefix], ()):
                    # A shorter prefix stands only for texts that are no longer than it.
                    reaches = length == prefix or (prefix == PREFIX and length > PREFIX)
                    if reaches and start + length <= len(words):
                        yield words[start : start + length]
