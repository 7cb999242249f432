"""Where texts are cut: chosen from their lengths, within what the models take."""

from __future__ import annotations

import pytest
from transformers import BertConfig, RobertaConfig

from tests.support.tiny import make_tokenizer
from training.cut import TooLongError, most_tokens, settle
from training.data import Text

SHORT = [Text("noisy " * 8)] * 99
LONG = [Text("noisy " * 300)]


def test_a_chosen_limit_leaves_99_of_100_texts_whole() -> None:
    tokenizer = make_tokenizer()
    cut = settle([*SHORT * 2, *LONG], tokenizer, asked=0, most=512)
    length = int(cut.lengths.min())
    assert cut.max_tokens % 16 == 0
    assert length <= cut.max_tokens < length + 16
    assert str(cut) == f"texts are cut at {cut.max_tokens} tokens: 0.5% of the held-out ones"


def test_a_chosen_limit_is_what_the_models_take_at_most() -> None:
    tokenizer = make_tokenizer()
    assert settle(LONG * 9, tokenizer, asked=0, most=512).max_tokens == 256
    assert settle(LONG * 9, tokenizer, asked=0, most=64).max_tokens == 64


def test_a_share_that_is_cut_comes_with_the_remedy() -> None:
    cut = settle([*SHORT, *LONG * 9], make_tokenizer(), asked=4, most=64)
    assert "at 4 tokens: 100.0% of the held-out ones" in str(cut)
    assert "(with --max-tokens 64, 8.3%, at a higher cost)" in str(cut)


def test_more_than_the_models_take_is_refused() -> None:
    with pytest.raises(TooLongError, match="--max-tokens 512: the models take at most 64 tokens"):
        settle(SHORT, make_tokenizer(), asked=512, most=64)


def test_the_positions_of_a_model_are_its_limit() -> None:
    tokenizer = make_tokenizer()
    assert most_tokens(BertConfig(max_position_embeddings=64), tokenizer) == 64
    roberta = RobertaConfig(max_position_embeddings=514, pad_token_id=1)
    assert most_tokens(roberta, tokenizer) == 512
