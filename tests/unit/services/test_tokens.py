"""Tokens in messages: they come back as they went, and others are refused by field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.v1 import tier_pb2
from services.backends.base import Encoded
from services.tokens import TokenRules, from_proto, to_proto

RULES = TokenRules(accepted=True, vocabulary=100, max_tokens=8)


@given(
    st.lists(st.tuples(st.integers(0, 99), st.integers(0, 1)), min_size=1, max_size=8),
    st.booleans(),
)
def test_what_is_handed_on_is_taken_over_as_it_was(tokens, truncated):
    ids, types = ([column[place] for column in tokens] for place in (0, 1))
    message = to_proto(Encoded(ids, types, truncated))
    found = from_proto(tier_pb2.TokenizedText.FromString(message.SerializeToString()))
    assert found == Encoded(ids, types, truncated)
    assert RULES.violations(message) == []


def test_a_model_that_asks_for_no_types_hands_on_none():
    message = to_proto(Encoded([1, 2, 3], None, False))
    assert list(message.type_ids) == []
    assert from_proto(message).type_ids == [0, 0, 0]


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ({}, "ids", "has 0 tokens; 1 to 8"),
        ({"ids": [1] * 9}, "ids", "has 9 tokens; 1 to 8"),
        ({"ids": [1, 100]}, "ids", "has token 100; the vocabulary ends before 100"),
        ({"ids": [1, 2], "type_ids": [0]}, "type_ids", "as many as there are ids"),
        ({"ids": [1, 2], "type_ids": [0, 2]}, "type_ids", "must be 0 or 1"),
    ],
)
def test_tokens_that_the_model_could_not_read_are_refused(text, field, words):
    (found,) = RULES.violations(tier_pb2.TokenizedText(**text))
    assert found.field == f"tokenized.{field}"
    assert words in found.description


def test_where_tiers_tokenise_differently_no_tokens_are_taken():
    rules = TokenRules(accepted=False, vocabulary=100, max_tokens=8)
    (found,) = rules.violations(tier_pb2.TokenizedText(ids=[1]))
    assert (found.field, "send the text" in found.description) == ("tokenized", True)
