"""The split: no sentence's fragments stand on both sides."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.data import LabelledTexts, Text
from training.split import FragmentIndex, split, whole


def labelled(texts: list[str]) -> LabelledTexts:
    distinct = list(dict.fromkeys(texts))
    targets = np.zeros((len(distinct), 2), dtype=np.float32)
    targets[np.arange(len(distinct)), np.arange(len(distinct)) % 2] = 1.0
    return LabelledTexts(tuple(Text(t) for t in distinct), targets, ("a", "b"))


def is_fragment(short: str, long: str) -> bool:
    words, other = short.lower().split(), long.lower().split()
    places = range(len(other) - len(words) + 1)
    return any(other[i : i + len(words)] == words for i in places)


sentences = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f"]), min_size=1, max_size=7).map(" ".join),
    min_size=8,
    max_size=40,
)


@given(texts=sentences, seed=st.integers(0, 5), share=st.floats(0.1, 0.5))
def test_nothing_held_out_is_a_fragment_of_training_or_the_other_way_round(
    texts: list[str], seed: int, share: float
) -> None:
    data = labelled(texts)
    parts = split(data, share, seed)
    train = [data.texts[i].text for i in parts.train]
    for held in (data.texts[i].text for i in parts.held_out):
        assert not any(is_fragment(held, t) or is_fragment(t, held) for t in train)


@given(texts=sentences, seed=st.integers(0, 5))
def test_only_whole_texts_are_held_out(texts: list[str], seed: int) -> None:
    data = labelled(texts)
    for i in split(data, 0.4, seed).held_out:
        own = data.texts[i].text
        assert not any(own != t.text and is_fragment(own, t.text) for t in data.texts)


@given(texts=sentences)
def test_the_index_finds_every_fragment(texts: list[str]) -> None:
    keys = [tuple(t.split()) for t in dict.fromkeys(texts)]
    index = FragmentIndex(keys)
    for key in keys:
        expected = {k for k in keys if k != key and is_fragment(" ".join(k), " ".join(key))}
        assert index.inside(key) == expected


def test_distinct_texts_split_by_share_and_by_seed() -> None:
    data = labelled([f"text number {i}" for i in range(100)])
    first, again, other = split(data, 0.2, 0), split(data, 0.2, 0), split(data, 0.2, 1)
    assert (len(first.train), len(first.held_out)) == (80, 20)
    assert first.held_out.tolist() == again.held_out.tolist()
    assert first.held_out.tolist() != other.held_out.tolist()


def test_a_text_with_two_labels_is_not_evidence() -> None:
    data = labelled([f"text number {i}" for i in range(10)])
    data.targets[:] = 0.5
    assert len(split(data, 0.5, 0).held_out) == 0


@given(texts=sentences)
def test_a_text_is_whole_unless_it_stands_inside_another(texts: list[str]) -> None:
    distinct = list(dict.fromkeys(texts))
    expected = [
        not any(is_fragment(text, other) for other in distinct if other != text)
        for text in distinct
    ]
    assert whole([Text(text) for text in distinct]).tolist() == expected
