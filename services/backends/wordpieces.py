"""BERT's tokenisation of plain ASCII, word by word, every word remembered.

The tokenizer follows each character through its normalising, for offsets that nobody here reads.
Plain ASCII needs no more of that than lower case, and most words have been seen before: to look
them up takes an eighth of the time (on sentences of SST-2).
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from tokenizers import Tokenizer

# Words that are remembered, those used last; longer ones are hardly met again.
WORDS, LONGEST = 50_000, 32
# What BertNormalizer takes out of ASCII, and what BertPreTokenizer makes of the rest: runs of
# characters, every punctuation mark by itself.
REMOVED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
PIECES = re.compile(r"[^\s!-/:-@\[-`{-~]+|[!-/:-@\[-`{-~]")
NEVER = r"(?!)"
PROBE = "a"


class WordPieces:
    """Gives the very ids that a tokenizer would, for the texts that it takes."""

    def __init__(self, tokenizer: Tokenizer, max_tokens: int, form: dict[str, Any]) -> None:
        """form: what the tokenizer says of itself, one for which `knows` is true."""
        self._tokenizer = tokenizer
        self._lower = bool(form["normalizer"]["lowercase"])
        reserved = (re.escape(token["content"].lower()) for token in form["added_tokens"])
        self._reserved = re.compile("|".join(reserved) or NEVER)
        body = self._split(PROBE)
        whole = tokenizer.encode(PROBE).ids
        start = whole.index(body[0])
        self._before, self._behind = whole[:start], whole[start + len(body) :]
        self._room = max_tokens - len(self._before) - len(self._behind)
        self._remembered = lru_cache(WORDS)(self._split)

    @classmethod
    def of(cls, tokenizer: Tokenizer, max_tokens: int) -> WordPieces | None:
        """That of a tokenizer which is to cut texts to max_tokens, and does not yet; None where it
        is not BERT's.
        """
        form = json.loads(tokenizer.to_str())
        return cls(tokenizer, max_tokens, form) if knows(form) else None

    def encode(self, text: str) -> tuple[list[int], bool] | None:
        """Token ids of a text, special ones included, and whether it was cut.

        None where the text is not plain: the tokenizer itself is to be asked.
        """
        if not text.isascii() or REMOVED.search(text):
            return None
        lower = text.lower()
        if self._reserved.search(lower):
            return None
        body: list[int] = []
        for word in PIECES.findall(lower if self._lower else text):
            body += self._remembered(word) if len(word) <= LONGEST else self._split(word)
        return [*self._before, *body[: self._room], *self._behind], len(body) > self._room

    def _split(self, word: str) -> list[int]:
        found: list[int] = self._tokenizer.encode(word, add_special_tokens=False).ids
        return found


def knows(form: dict[str, Any]) -> bool:
    """Whether a tokenizer, by what it says of itself, splits words as BERT's does."""
    normalizer = form["normalizer"] or {}
    return (
        form["model"]["type"] == "WordPiece"
        and normalizer.get("type") == "BertNormalizer"
        and bool(normalizer["clean_text"])
        and form["pre_tokenizer"] == {"type": "BertPreTokenizer"}
    )
