"""Words remembered give the very ids that the tokenizer gives."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from services.backends.tokenizing import InputForm, TextEncoder
from services.backends.wordpieces import WordPieces

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = ("the", "film", "is", "un", "##forget", "##table", "good", "Good", "##s")
LETTERS = (*string.ascii_letters, *string.digits, *string.punctuation)
VOCABULARY = (*SPECIAL, *WORDS, *LETTERS, *(f"##{letter}" for letter in LETTERS[:-6]))


def make(*, lowercase=True, **changes):
    """A tokenizer as BERT's is made, with other parts where they are given."""
    ids = {token: number for number, token in enumerate(dict.fromkeys(VOCABULARY))}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    for name, part in changes.items():
        setattr(tokenizer, name, part)
    return tokenizer


def by_tokenizer(tokenizer, text, max_tokens):
    tokenizer.enable_truncation(max_tokens)
    found = tokenizer.encode(text)
    return found.ids, bool(found.overflowing)


pieces = st.sampled_from(
    [*WORDS, "unforgettables", "GOOD", "x" * 101, "y" * 40, ".", "--", "[SEP]", "[mask]", "é", "電"]
)
texts = st.text(max_size=30) | st.lists(pieces | st.text(st.characters(max_codepoint=127))).map(
    " ".join
)
ENCODERS = {lowercase: make(lowercase=lowercase) for lowercase in (True, False)}


@given(text=texts, lowercase=st.booleans(), max_tokens=st.integers(4, 16))
def test_ids_are_those_of_the_tokenizer_whatever_the_text(text, lowercase, max_tokens):
    tokenizer = ENCODERS[lowercase]
    encoder = TextEncoder(tokenizer, max_tokens, InputForm(0, type_ids=True))
    for _ in range(2):  # the second time its words are remembered
        (found,) = encoder.encode([(text, None)])
        ids, truncated = by_tokenizer(tokenizer, text, max_tokens)
        assert (list(found.token_ids), found.truncated) == (ids, truncated)
        assert list(found.type_ids) == [0] * len(ids)


def test_plain_texts_pairs_and_others_come_back_in_their_order():
    tokenizer = make()
    encoder = TextEncoder(tokenizer, 12, InputForm(0, type_ids=False))
    given = [("the film", None), ("é", None), ("the", "film"), ("is good", None), ("[SEP]", None)]
    wanted = [
        tokenizer.encode(text).ids if pair is None else tokenizer.encode(text, pair).ids
        for text, pair in given
    ]
    assert [list(row.token_ids) for row in encoder.encode(given)] == wanted


def test_plain_words_are_not_looked_up_twice(monkeypatch):
    words = WordPieces.of(make(), 12)
    assert words.encode("The film, the FILM.") is not None
    monkeypatch.setattr(words, "_tokenizer", None)
    assert words.encode("film the . ,") is not None


@pytest.mark.parametrize("text", ["naïve", "a\x00b", "a\x0bb", "see [SEP] here", "see [sep] here"])
def test_what_is_not_plain_is_left_to_the_tokenizer(text):
    assert WordPieces.of(make(), 12).encode(text) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"pre_tokenizer": pre_tokenizers.Whitespace()},
        {"normalizer": normalizers.Lowercase()},
        {"normalizer": normalizers.BertNormalizer(clean_text=False)},
        {"model": models.BPE({"a": 0, "[UNK]": 1}, [], unk_token="[UNK]")},
    ],
    ids=["pre_tokenizer", "normalizer", "clean_text", "model"],
)
def test_tokenizers_that_work_otherwise_are_left_alone(changes):
    assert WordPieces.of(make(**changes), 12) is None
