"""The small tier: the kind that is asked for, otherwise the best of several for the cascade."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from services.models.multi_exit import MultiExitClassifier
from tests.support import tiers
from training import small
from training.batches import encode
from training.choose import WITHOUT
from training.data import LabelledTexts, Text
from training.large import score
from training.settings import SmallSettings, TrainSettings
from training.students import fresh, pool, shallow

TINY = {"embedding": 8, "width": 8, "epochs": 1, "augment": 1, "least_steps": 5}


def texts(count: int, seed: int) -> LabelledTexts:
    """Random texts with the labels that the large tier's last exit finds."""
    rng = np.random.default_rng(seed)
    words = [Text(" ".join(rng.choice(tiers.WORDS, rng.integers(3, 18)))) for _ in range(count)]
    encoded = encode(tiers.make_tokenizer(), words, tiers.MAX_TOKENS)
    labels = score(tiers.make_network(), encoded, "labels")[-1].argmax(axis=-1)
    return LabelledTexts(tuple(words), np.eye(3, dtype=np.float32)[labels], ("a", "b", "c"))


def settings(**options: object) -> TrainSettings:
    return TrainSettings(
        "", "", "task", max_tokens=tiers.MAX_TOKENS, bf16=False, small=SmallSettings(**options)
    )


@pytest.fixture
def teacher() -> MultiExitClassifier:
    return tiers.make_network()


def select(teacher: MultiExitClassifier, made: TrainSettings):
    return small.select(texts(50, 0), teacher, tiers.make_tokenizer(), made, trial=texts(100, 1))


def test_auto_keeps_the_student_with_the_cheapest_cascade(teacher: MultiExitClassifier) -> None:
    student, choice = select(teacher, settings(kind="auto", **TINY))
    prices = {name: price for name, price in choice.prices.items() if name != WITHOUT}
    assert {*prices, *choice.untried} == set(small.CANDIDATES)
    by = "flops" if choice.pays else "alone"
    assert choice.name == min(prices, key=lambda name: getattr(prices[name], by))
    kind = "shallow" if isinstance(student, MultiExitClassifier) else student.config.kind
    assert kind == choice.name


def test_a_student_that_costs_more_than_a_whole_cascade_does_not_learn(
    teacher: MultiExitClassifier,
) -> None:
    made = settings(kind="auto", **TINY)
    contest = small.Contest(teacher, tiers.make_tokenizer(), texts(100, 1), made)
    assert contest.admits("deep", teacher)
    contest.enter("shallow", shallow.cut(teacher, 1, None).eval())
    assert not contest.admits("deep", teacher)
    choice = contest.choice()
    assert (choice.name, list(choice.untried)) == ("shallow", ["deep"])
    assert f"deep {choice.untried['deep']:.3f} or more" in choice.note


def test_students_that_are_compared_are_taught_by_the_same_answers(
    teacher: MultiExitClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    gathered = []

    def gather(*arguments: object) -> pool.Pool:
        gathered.append(pool_gather(*arguments))
        return gathered[-1]

    pool_gather = pool.gather
    monkeypatch.setattr(pool, "gather", gather)
    select(teacher, settings(kind="auto", **TINY))
    assert len(gathered) == 1


def test_a_kind_asked_for_is_the_very_student_that_auto_compares(
    teacher: MultiExitClassifier,
) -> None:
    chosen, choice = select(teacher, settings(kind="auto", **TINY))
    alone, none = select(teacher, settings(kind=choice.name, **TINY))
    assert none is None
    for name, tensor in chosen.state_dict().items():
        assert torch.equal(tensor, alone.state_dict()[name])


@pytest.mark.parametrize("kind", fresh.KINDS)
def test_every_kind_comes_back_ready_to_serve(kind: str, teacher: MultiExitClassifier) -> None:
    made = settings(kind=kind, **TINY)
    student = small.train(texts(20, 0), teacher, tiers.make_tokenizer(), made)
    assert not student.training
    assert student.stages == 1


def test_a_kind_that_is_not_known_is_told_before_anything_is_labelled(
    teacher: MultiExitClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(pool, "gather")
    with pytest.raises(fresh.StudentError, match="no student of kind 'tree'; choose one of:"):
        small.train(texts(9, 0), teacher, tiers.make_tokenizer(), settings(kind="tree"))


def test_settings_are_checked_for_what_they_would_distil(teacher: MultiExitClassifier) -> None:
    small.check(SmallSettings(kind="auto"), teacher)
    small.check(SmallSettings(kind="conv", layers=9), teacher)
    for kind in ("auto", "shallow"):
        with pytest.raises(fresh.StudentError, match="cannot keep 9 of 4 layers"):
            small.check(SmallSettings(kind=kind, layers=9), teacher)


def test_unlabelled_texts_are_learned_from(teacher: MultiExitClassifier) -> None:
    made, tokenizer = settings(kind="static", **{**TINY, "augment": 0}), tiers.make_tokenizer()
    more = texts(30, 3).texts
    without = small.train(texts(20, 0), teacher, tokenizer, made)
    with_more = small.train(texts(20, 0), teacher, tokenizer, made, more)
    assert not torch.equal(without.tokens.weight, with_more.tokens.weight)
