"""Tokens in messages: what tiers hand on and take over where all of a bundle tokenise alike."""

from __future__ import annotations

from dataclasses import dataclass

from offramp.errors import Violation
from offramp.v1 import tier_pb2
from services.backends.base import Encoded

DIFFERENT = "is set, but the tiers of this bundle tokenise each in its own way; send the text"


def to_proto(encoded: Encoded) -> tier_pb2.TokenizedText:
    """What the next tier reads in place of the text."""
    types = encoded.type_ids if encoded.type_ids is not None and any(encoded.type_ids) else ()
    return tier_pb2.TokenizedText(
        ids=encoded.token_ids, type_ids=types, truncated=encoded.truncated
    )


def from_proto(text: tier_pb2.TokenizedText) -> Encoded:
    """A text that another tier tokenised, whose tokens `TokenRules` found in order."""
    return Encoded(list(text.ids), list(text.type_ids) or [0] * len(text.ids), text.truncated)


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What tokens a tier takes in place of a text.

    accepted: whether any.  vocabulary: ids are below it.  max_tokens: of a text.
    """

    accepted: bool
    vocabulary: int
    max_tokens: int

    def violations(self, text: tier_pb2.TokenizedText) -> list[Violation]:
        """What is wrong with tokens, by the fields of an item."""
        if not self.accepted:
            return [Violation("tokenized", DIFFERENT)]
        found = []
        if not 1 <= len(text.ids) <= self.max_tokens:
            advice = f"has {len(text.ids)} tokens; 1 to {self.max_tokens} are accepted"
            found.append(Violation("tokenized.ids", advice))
        elif max(text.ids) >= self.vocabulary:
            advice = f"has token {max(text.ids)}; the vocabulary ends before {self.vocabulary}"
            found.append(Violation("tokenized.ids", advice))
        if text.type_ids and (len(text.type_ids) != len(text.ids) or max(text.type_ids) > 1):
            advice = "must be 0 or 1, as many as there are ids; leave them out for a single text"
            found.append(Violation("tokenized.type_ids", advice))
        return found
