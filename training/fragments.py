"""Texts that stand inside other texts, as runs of whole words."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from training.data import Text

# Words that a text is looked up by inside others: a few for short texts, since short ones should be
# found too; more for long ones, which would otherwise be compared with all that begin alike.
PREFIX, LONG_PREFIX = 3, 16
LONGEST_SHORT = 64
WORD = re.compile(r"\w+")
BETWEEN = "\0"

Words = tuple[str, ...]


def words_of(text: Text) -> Words:
    """A text's words; those of a pair whichever of its sides comes first."""
    first = side_words(text.text)
    if text.pair is None:
        return first
    one, other = sorted((first, side_words(text.pair)))
    return (*one, BETWEEN, *other)


def side_words(side: str) -> Words:
    """The words of one side of a pair: case, spacing and punctuation make no difference.

    Signs count where there is nothing else. Interned: every text shares the words of all.
    """
    plain = unicodedata.normalize("NFKC", side).casefold()
    return tuple(map(sys.intern, WORD.findall(plain) or plain.split()))


def whole(texts: Sequence[Text]) -> NDArray[np.bool_]:
    """Which of the texts (N,) are no fragment of another one."""
    keys = [words_of(text) for text in texts]
    index = FragmentIndex(keys)
    fragments = set().union(*map(index.inside, keys))
    return np.asarray([key not in fragments for key in keys], dtype=np.bool_)


class FragmentIndex:
    """Finds which of the known texts stand inside a text."""

    def __init__(self, known: Iterable[Words]) -> None:
        known = {words for words in known if words}
        long = {words for words in known if len(words) > LONGEST_SHORT}
        self._parts = (_Index(known - long, PREFIX), _Index(long, LONG_PREFIX))

    def inside(self, words: Words) -> set[Words]:
        """The known texts that are proper fragments of a text."""
        return set().union(*(part.inside(words) for part in self._parts))


class _Index:
    """Known texts by their first words: `prefix` of them, or all of a shorter text."""

    def __init__(self, known: set[Words], prefix: int) -> None:
        self._known = known
        self._prefix = prefix
        self._begin = {words[0] for words in known}
        self._shortest = min(map(len, known), default=sys.maxsize)
        self._lengths: dict[Words, set[int]] = {}
        for words in known:
            self._lengths.setdefault(words[:prefix], set()).add(len(words))

    def inside(self, words: Words) -> set[Words]:
        if len(words) <= self._shortest:
            return set()
        return {run for run in self._runs(words) if len(run) < len(words) and run in self._known}

    def _runs(self, words: Words) -> Iterator[Words]:
        for start in range(len(words) - self._shortest + 1):
            if words[start] not in self._begin:
                continue
            for prefix in range(min(self._shortest, self._prefix), self._prefix + 1):
                for length in self._lengths.get(words[start : start + prefix], ()):
                    # A shorter prefix stands only for texts that are no longer than it.
                    reaches = length == prefix or (prefix == self._prefix and length > prefix)
                    if reaches and start + length <= len(words):
                        yield words[start : start + length]
