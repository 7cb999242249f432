"""What students learn from: labelled texts first, then others within the budget, all answered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as given_settings
from hypothesis import strategies as st

from tests.support import tiers
from training.batches import collate, encode
from training.data import LabelledTexts, Text
from training.settings import SmallSettings, TrainSettings
from training.students import pool

LABELS = 3


def texts(count: int, seed: int = 0) -> tuple[Text, ...]:
    rng = np.random.default_rng(seed)
    return tuple(
        Text(" ".join(rng.choice(tiers.WORDS, size=rng.integers(4, 9)))) for _ in range(count)
    )


def labelled(count: int) -> LabelledTexts:
    targets = np.eye(LABELS, dtype=np.float32)[np.arange(count) % LABELS]
    return LabelledTexts(texts(count), targets, ("a", "b", "c"))


def settings(**small: object) -> TrainSettings:
    return TrainSettings(
        data=Path("data.tsv"),
        out=Path("out"),
        name="task",
        max_tokens=tiers.MAX_TOKENS,
        bf16=False,
        small=SmallSettings(**small),
    )


def gathered(count: int, unlabelled: int = 0, **small: object) -> pool.Pool:
    more = texts(unlabelled, seed=1)
    return pool.gather(
        labelled(count), tiers.make_network(), tiers.make_tokenizer(), settings(**small), more
    )


def test_labelled_texts_come_first_and_copies_after_them() -> None:
    found = gathered(20, augment=2)
    expected = encode(tiers.make_tokenizer(), texts(20), tiers.MAX_TOKENS)
    assert found.encoded.ids[:20] == expected.ids
    assert len(found.encoded) == len(found.answers) == 60


@torch.inference_mode()
def test_answers_are_those_of_the_last_exit_in_half_the_room() -> None:
    found = gathered(10, augment=1)
    batch = collate(found.encoded, np.arange(20))
    expected = tiers.make_network()(*batch.inputs)[-1]
    assert found.answers.dtype == torch.float16
    torch.testing.assert_close(found.answers.float(), expected, atol=5e-3, rtol=5e-3)


@given_settings(max_examples=30)
@given(budget=st.integers(0, 600), unlabelled=st.integers(0, 30), augment=st.integers(0, 5))
def test_altered_copies_have_no_more_tokens_than_the_budget(
    budget: int, unlabelled: int, augment: int
) -> None:
    data, made = labelled(12), settings(pool_tokens=budget, augment=augment)
    teacher, tokenizer = tiers.make_network(), tiers.make_tokenizer()
    found = pool.gather(data, teacher, tokenizer, made, texts(unlabelled, seed=1))
    assert found.encoded.lengths[12 + unlabelled :].sum() <= budget
    assert len(found.encoded) <= (12 + unlabelled) * (augment + 1)


def test_all_unlabelled_texts_are_learned_from_however_many_tokens_they_have() -> None:
    real = encode(tiers.make_tokenizer(), texts(30, seed=1), tiers.MAX_TOKENS)
    found = gathered(5, unlabelled=30, augment=3, pool_tokens=0)
    assert sorted(found.encoded.ids[5:]) == sorted(real.ids)


def test_many_classes_mean_fewer_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "MOST_ANSWERS", 25 * LABELS)
    assert len(gathered(10, augment=20).encoded) == 25
    assert len(gathered(40, augment=20).encoded) == 40


def test_where_labels_leave_no_room_no_unlabelled_text_is_learned_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "MOST_ANSWERS", 25 * LABELS)
    assert [pool.room(labelled(count)) for count in (10, 24, 25, 40)] == [15, 1, 0, 0]
    assert len(gathered(24, unlabelled=9, augment=20).encoded) == 25
    for count in (25, 40):
        assert len(gathered(count, unlabelled=9, augment=20).encoded) == count


def test_a_row_knows_whether_it_has_a_label_and_which() -> None:
    found = gathered(6, augment=1)
    rows = np.asarray([7, 2, 11, 5])
    has_label, aims = found.own(collate(found.encoded, rows))
    assert has_label.tolist() == [False, True, False, True]
    assert aims[has_label].argmax(dim=1).tolist() == [2, 2]


def test_rare_labels_weigh_in_the_pool_as_in_the_data() -> None:
    data = replace(labelled(6), class_weights=np.asarray([1.0, 2.0, 0.5], dtype=np.float32))
    made = settings(augment=0)
    found = pool.gather(data, tiers.make_network(), tiers.make_tokenizer(), made)
    assert found.aims.sum(dim=1).tolist() == [1.0, 2.0, 0.5, 1.0, 2.0, 0.5]
