"""Parting: every example in one part, by label, in the shares asked for, and never too few."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data import LabelledTexts, Text
from training.parting import (
    LEAST_PER_PART,
    TooFewToCalibrateError,
    deal,
    folds,
    least_held_out,
    part,
)


def held_out(labels: np.ndarray, texts: list[Text] | None = None) -> LabelledTexts:
    """Texts of these labels, without kin among them unless they are given."""
    made = texts or [Text(f"text number {i}") for i in range(len(labels))]
    classes = int(labels.max()) + 1
    names = tuple(f"label {i}" for i in range(classes))
    return LabelledTexts(tuple(made), np.eye(classes, dtype=np.float32)[labels], names)


labels = st.lists(st.integers(0, 6), min_size=1, max_size=200).map(np.asarray)
seeds = st.integers(0, 1000)


@given(labels, seeds)
def test_parts_have_their_share_of_every_label(found: np.ndarray, seed: int) -> None:
    shares = (0.5, 0.3, 0.2)
    dealt = deal(found, shares, seed)
    for share, number in zip(shares, range(3), strict=True):
        assert abs((dealt == number).sum() - share * len(found)) <= 1
        for label in np.unique(found):
            here = found == label
            assert abs((dealt[here] == number).sum() - share * here.sum()) <= 2


@given(labels, seeds)
def test_every_example_is_tested_on_once_and_never_fitted_on_then(
    found: np.ndarray, seed: int
) -> None:
    tested = []
    for train, test in folds(found, 5, seed):
        assert set(train) | set(test) == set(range(len(found)))
        assert not set(train) & set(test)
        tested += test.tolist()
    assert sorted(tested) == list(range(len(found)))


def test_the_seed_decides_and_nothing_else() -> None:
    found = held_out(np.arange(300) % 3)
    first, again, other = (part(found, 0.4, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.readouts, again.readouts)
    assert not np.array_equal(first.readouts, other.readouts)


@given(share=st.floats(0.15, 0.8), classes=st.integers(2, 30))
def test_as_many_as_the_refusal_asks_for_are_enough(share: float, classes: int) -> None:
    least = least_held_out(share)
    parts = part(held_out(np.arange(least) % classes), share, seed=0)
    sizes = [len(parts.readouts), len(parts.choosing), len(parts.certifying)]
    assert min(sizes) >= LEAST_PER_PART
    assert sum(sizes) == least
    with pytest.raises(TooFewToCalibrateError, match=f"at least {least} are needed"):
        part(held_out(np.arange(least - 1) % classes), share, seed=0)


@given(sizes=st.lists(st.integers(1, 10), min_size=30, max_size=60), seed=seeds)
def test_kin_are_in_one_part_and_certify_once(sizes: list[int], seed: int) -> None:
    texts = [
        Text(f"premise {i}", f"hypothesis {i} {j}") for i, n in enumerate(sizes) for j in range(n)
    ]
    texts += [Text(f"alone {i}", f"all alone {i}") for i in range(120)]
    kin = [text.text for text in texts]
    parts = part(held_out(np.arange(len(texts)) % 2, texts), 0.4, seed)
    found = [[kin[i] for i in one] for one in (parts.readouts, parts.choosing, parts.certifying)]
    first, second, third = map(set, found)
    assert len(first) + len(second) + len(third) == len(set(kin))
    assert first | second | third == set(kin)
    assert len(found[2]) == len(third)


@given(labels, seeds, st.data())
def test_groups_are_dealt_whole_and_still_by_share(
    found: np.ndarray, seed: int, data: st.DataObject
) -> None:
    group = np.asarray(
        data.draw(st.lists(st.integers(0, 50), min_size=len(found), max_size=len(found)))
    )
    dealt = deal(found, (0.5, 0.3, 0.2), seed, group)
    for number in np.unique(group):
        assert len(np.unique(dealt[group == number])) == 1
    largest = np.bincount(group).max()
    for share, number in zip((0.5, 0.3, 0.2), range(3), strict=True):
        assert abs((dealt == number).sum() - share * len(found)) <= largest + 1


@given(labels, seeds)
def test_without_kin_groups_change_nothing(found: np.ndarray, seed: int) -> None:
    alone = deal(found, (0.5, 0.3, 0.2), seed, np.arange(len(found)))
    assert np.array_equal(alone, deal(found, (0.5, 0.3, 0.2), seed))


def test_texts_that_are_all_but_the_same_say_nothing() -> None:
    alike = held_out(np.arange(300) % 2, [Text(f"the same{'.' * i}") for i in range(300)])
    with pytest.raises(TooFewToCalibrateError, match="and 1 are left; bring texts that differ"):
        part(alike, 0.4, seed=0)
