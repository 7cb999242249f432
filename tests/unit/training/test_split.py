"""The split: no sentence's fragments stand on both sides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data import LabelledTexts, Text
from training.fragments import FragmentIndex, whole, words_of
from training.groups import groups, still_tied
from training.split import apart, quotas, split


def labelled(texts: list[str]) -> LabelledTexts:
    distinct = [Text(t) for t in dict.fromkeys(texts)]
    return with_labels(distinct, [i % 2 for i in range(len(distinct))])


def with_labels(texts: list[Text], labels: list[int]) -> LabelledTexts:
    names = tuple(f"label {i}" for i in range(max(labels) + 1))
    return LabelledTexts(tuple(texts), np.eye(len(names), dtype=np.float32)[labels], names)


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
    keys = [words_of(Text(t)) for t in dict.fromkeys(texts)]
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


@given(
    counts=st.lists(st.integers(0, 60), min_size=2, max_size=30).filter(any),
    share=st.floats(0.05, 0.5),
)
def test_every_label_is_held_out_by_its_share_and_at_least_once(
    counts: list[int], share: float
) -> None:
    held = quotas(np.asarray(counts), share)
    for count, found in zip(counts, held.tolist(), strict=True):
        assert found >= (count >= 2)
        assert found <= max(0, count - 1)
        assert abs(found - share * count) <= 1
    exact = share * sum(counts)
    raised = sum(share * count < 1 for count in counts)
    assert exact - 1 <= held.sum() <= exact + raised + 1 or min(counts) < 2


def test_150_labels_of_8_texts_are_all_on_both_sides() -> None:
    texts = [Text(f"{label} says thing {i}") for label in range(150) for i in range(8)]
    data = with_labels(texts, [label for label in range(150) for _ in range(8)])
    parts = split(data, 0.15, 0)
    held = np.bincount(data.labels[parts.held_out], minlength=150)
    assert set(held.tolist()) == {1, 2}
    assert len(parts.held_out) == 180
    assert len(parts.train) == 1200 - 180


def test_texts_that_differ_in_case_and_spacing_stay_together() -> None:
    texts = [Text(t) for i in range(40) for t in (f"Text {i}", f"text  {i}")]
    data = with_labels(texts, [0, 0, 1, 1] * 20)
    parts = split(data, 0.25, 0)
    held = {i // 2 for i in parts.held_out.tolist()}
    assert len(parts.held_out) == 20
    assert held.isdisjoint({i // 2 for i in parts.train.tolist()})


def test_pairs_that_share_a_text_stay_together() -> None:
    texts = [Text(f"premise {i}", f"hypothesis {i} {j}") for i in range(60) for j in range(3)]
    data = with_labels(texts, [0, 1, 2] * 60)
    parts = split(data, 0.2, 0)
    held = {i // 3 for i in parts.held_out.tolist()}
    assert len(parts.held_out) == 36
    assert np.bincount(data.labels[parts.held_out]).tolist() == [12, 12, 12]
    assert held.isdisjoint({i // 3 for i in parts.train.tolist()})


def test_kin_of_held_out_pairs_whose_labels_are_at_odds_are_in_no_part() -> None:
    texts = [Text(f"premise {i}", f"hypothesis {i} {j}") for i in range(60) for j in range(2)]
    data = with_labels(texts, [0, 1] * 60)
    data.targets[1::2] = 0.5
    parts = split(data, 0.5, 0)
    held = {i // 2 for i in parts.held_out.tolist()}
    assert len(held) == 30
    assert held.isdisjoint({i // 2 for i in parts.train.tolist()})


@pytest.mark.parametrize("categories", [3, 24])
def test_a_text_that_everybody_pairs_with_ties_nothing_together(categories: int) -> None:
    texts = [Text(f"is it topic {i % categories}", f"headline {i}") for i in range(600)]
    assert len(set(groups(texts).tolist())) == 600


def test_ties_that_bind_everything_are_those_of_the_first_text_alone() -> None:
    chain = [Text(f"premise {i // 2}", f"hypothesis {(i + 1) // 2}") for i in range(200)]
    assert len(set(groups(chain).tolist())) == 100


def test_what_stands_in_a_validation_file_leaves_training() -> None:
    texts = [
        Text("A good film"),
        Text("good"),
        Text("a good film , they say , and I did not believe it"),
        Text("a  GOOD film ."),
        Text("a bad film"),
    ]
    held = [Text("a good film"), Text("a dull one")]
    assert [texts[i].text for i in apart(texts, held)] == [texts[2].text, texts[4].text]


def test_a_pair_is_not_given_away_by_one_of_its_texts() -> None:
    texts = [Text("a man sleeps", "he rests"), Text("a man sleeps", "he runs")]
    assert apart(texts, [Text("a man sleeps", "he rests")]).tolist() == [1]


def test_texts_that_differ_in_punctuation_stay_together() -> None:
    texts = [Text(t) for i in range(40) for t in (f"Film {i}: great", f"film {i} great.")]
    parts = split(with_labels(texts, [0, 0, 1, 1] * 20), 0.25, 0)
    held = {i // 2 for i in parts.held_out.tolist()}
    assert len(parts.held_out) == 20
    assert held.isdisjoint({i // 2 for i in parts.train.tolist()})


def test_texts_of_signs_alone_are_told_apart() -> None:
    assert words_of(Text(":)")) != words_of(Text(":("))
    assert words_of(Text("ﬁne, ０")) == words_of(Text("Fine 0"))


def test_a_long_fragment_leaves_training_too() -> None:
    long = [" ".join(f"w{i}x{j}" for j in range(200)) for i in range(60)]
    texts = [Text(t) for text in long for t in (text, " ".join(text.split()[20:150]))]
    parts = split(with_labels(texts, [0, 0, 1, 1] * 30), 0.25, 0)
    held = {i // 2 for i in parts.held_out.tolist()}
    assert len(parts.held_out) == 15
    assert held.isdisjoint({i // 2 for i in parts.train.tolist()})


def test_pairs_with_their_sides_swapped_stay_together() -> None:
    texts = [
        pair
        for i in range(60)
        for pair in (Text(f"one {i}", f"two {i}"), Text(f"two {i}", f"one {i}"))
    ]
    parts = split(with_labels(texts, [0, 1] * 60), 0.25, 0)
    held = {i // 2 for i in parts.held_out.tolist()}
    assert len(parts.held_out) == 30
    assert held.isdisjoint({i // 2 for i in parts.train.tolist()})
    assert apart(texts, [texts[0]]).tolist() == list(range(2, 120))


def test_a_text_ties_pairs_whichever_side_of_them_it_is() -> None:
    texts = [Text("a", "b"), Text("c", "a"), Text("d", "c"), Text("e", "f"), *fillers(60)]
    found = groups(texts).tolist()
    assert found[0] == found[1] == found[2] != found[3]


def test_ties_that_are_left_are_counted() -> None:
    chain = [Text(f"premise {i // 2}", f"hypothesis {(i + 1) // 2}") for i in range(200)]
    parts = split(with_labels(chain, [0, 1] * 100), 0.2, 0)
    held = [chain[i] for i in parts.held_out]
    trained = {side for i in parts.train for side in (chain[i].text, chain[i].pair)}
    expected = sum(bool(trained & {text.text, text.pair}) for text in held)
    assert still_tied(chain, parts.train, parts.held_out) == expected > 0
    assert still_tied(fillers(60), range(30), range(30, 60)) == 0


def fillers(count: int) -> list[Text]:
    return [Text(f"premise {i}", f"hypothesis {i}") for i in range(count)]


@given(texts=sentences)
def test_a_text_is_whole_unless_it_stands_inside_another(texts: list[str]) -> None:
    distinct = list(dict.fromkeys(texts))
    expected = [
        not any(is_fragment(text, other) for other in distinct if other != text)
        for text in distinct
    ]
    assert whole([Text(text) for text in distinct]).tolist() == expected
