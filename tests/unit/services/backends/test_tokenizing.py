"""Texts to token ids, as the tokenizer of the bundle has them."""

import pytest
from transformers import PreTrainedTokenizerFast

from offramp.errors import BundleError
from services.backends.tokenizing import TextEncoder
from tests.support import tiers


@pytest.fixture
def encoder():
    return TextEncoder.of(tiers.make_tokenizer(), max_tokens=8)


def test_ids_are_those_of_the_tokenizer_called_plainly(encoder):
    texts = [("w1 w2", None), ("w3", "w4 w5"), ("w1", "w2 w3 w4 w5 w6 w7 w8"), ("w9 " * 30, None)]
    plain = tiers.make_tokenizer()
    for (text, pair), found in zip(texts, encoder.encode(texts), strict=True):
        want = plain(text, pair, truncation="longest_first", max_length=8)
        assert list(found.token_ids) == want["input_ids"]
        assert list(found.type_ids) == want["token_type_ids"]


def test_truncation_is_told(encoder):
    found = encoder.encode([("w1 " * 6, None), ("w1 " * 7, None), ("w1", "w2 " * 9)])
    assert [row.truncated for row in found] == [False, True, True]
    assert [row.tokens for row in found] == [8, 8, 8]


def test_tokenizer_without_a_fast_form_is_refused():
    class Slow(PreTrainedTokenizerFast):
        is_fast = False

    tokenizer = tiers.make_tokenizer()
    tokenizer.__class__ = Slow
    with pytest.raises(BundleError, match="no fast form"):
        TextEncoder.of(tokenizer, 8)
