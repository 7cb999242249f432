"""Distillation: what the loss is, and that every kind learns what it is taught."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from services.models.multi_exit import MultiExitClassifier
from tests.support import tiers
from training.batches import encode, in_order
from training.data import LabelledTexts, Text
from training.large import score
from training.settings import SmallSettings, TrainSettings
from training.students import distil, fresh
from training.students.pool import Pool

POSITIVE = tiers.WORDS[:30]


def settings(**small: object) -> TrainSettings:
    options = SmallSettings(embedding=16, width=16, batch_size=32, **small)
    return TrainSettings(
        data="data.tsv",
        out=None,
        name="task",
        max_tokens=tiers.MAX_TOKENS,
        bf16=False,
        small=options,
    )


@given(
    logits=st.lists(st.floats(-5, 5), min_size=3, max_size=3),
    answers=st.lists(st.floats(-5, 5), min_size=3, max_size=3),
    temperature=st.floats(0.5, 8),
)
def test_the_soft_loss_is_least_where_the_student_answers_as_it_is_taught(
    logits: list[float], answers: list[float], temperature: float
) -> None:
    ours, theirs = torch.tensor([logits]), torch.tensor([answers])
    loss = distil.soft_cross_entropy(ours, theirs, temperature)
    least = distil.soft_cross_entropy(theirs, theirs, temperature)
    assert loss >= least - 1e-4
    assert distil.soft_cross_entropy(theirs + 3.0, theirs, temperature) == pytest.approx(
        least.item(), abs=1e-3
    )


def test_the_temperature_keeps_the_size_of_small_gradients() -> None:
    """Hinton et al.: in the high-temperature limit gradients go down with T squared."""
    answers = torch.tensor([[1.0, -1.0, 0.0]])
    sizes = []
    for temperature in (20.0, 40.0):
        logits = torch.zeros(1, 3, requires_grad=True)
        distil.soft_cross_entropy(logits, answers, temperature).sum().backward()
        sizes.append(logits.grad.norm().item())
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


def test_a_small_pool_is_gone_through_more_often() -> None:
    options = SmallSettings(epochs=6, batch_size=100, least_steps=500)
    assert distil.epochs("conv", 1_000_000, options) == 6
    assert distil.epochs("shallow", 1_000_000, options) == options.shallow_epochs
    assert distil.epochs("conv", 1_000, options) == distil.epochs("shallow", 1_000, options) == 50


def lesson(pairs: bool) -> tuple[LabelledTexts, np.ndarray]:
    """Single texts: which half of the vocabulary a text is of. Pairs: whether a word recurs."""
    rng = np.random.default_rng(0)
    texts, labels = [], rng.integers(0, 2, 400)
    for label in labels:
        if pairs:
            first, others = rng.choice(tiers.WORDS, 5), rng.choice(tiers.WORDS, 4)
            recurring = first if label else rng.choice(tiers.WORDS, 5)
            texts.append(Text(" ".join(first), " ".join([*recurring, *others[:1]])))
        else:
            words = POSITIVE if label else tiers.WORDS[30:]
            texts.append(Text(" ".join(rng.choice(words, 6))))
    targets = np.eye(2, dtype=np.float32)[labels]
    return LabelledTexts(tuple(texts), targets, ("no", "yes")), labels


def taught(kind: str, pairs: bool, teacher: MultiExitClassifier, **small: object) -> float:
    """Accuracy on texts that the student has not seen, taught by one who is always right."""
    data, labels = lesson(pairs)
    made, tokenizer = settings(**small), tiers.make_tokenizer()
    encoded = encode(tokenizer, data.texts, tiers.MAX_TOKENS)
    seen = encode(tokenizer, data.texts[:300], tiers.MAX_TOKENS)
    answers = torch.from_numpy(4 * data.targets[:300]).half()
    pool = Pool(seen, answers, torch.from_numpy(data.targets[:100]))
    student = fresh.make(kind, data, teacher, tokenizer, made)
    distil.distil(student, kind, pool, made)
    assert not student.training
    found = score(student, encoded, "student")[-1].argmax(axis=-1)
    return float((found == labels)[300:].mean())


@pytest.mark.parametrize("kind", fresh.KINDS)
def test_every_kind_learns_what_it_is_taught(kind: str) -> None:
    rates = {"learning_rate": 5e-3, "shallow_learning_rate": 3e-3}
    assert taught(kind, False, tiers.make_network(labels=2), least_steps=120, **rates) > 0.9


@pytest.mark.parametrize("kind", ["static", "conv", "recurrent"])
def test_students_learn_to_compare_the_texts_of_a_pair(kind: str) -> None:
    """No word says yes or no by itself: without a comparison they would be at chance."""
    options = {"learning_rate": 5e-3, "dropout": 0.0, "least_steps": 250}
    assert taught(kind, True, tiers.make_network(labels=2), **options) > 0.85


def test_the_same_seed_gives_the_same_student_whatever_was_trained_before() -> None:
    data, _ = lesson(False)
    tokenizer, made = tiers.make_tokenizer(), settings()
    teacher = tiers.make_network(labels=2)
    first = fresh.make("conv", data, teacher, tokenizer, made)
    torch.rand(7)
    second = fresh.make("conv", data, teacher, tokenizer, made)
    batch = next(in_order(encode(tokenizer, data.texts[:4], tiers.MAX_TOKENS), 4))
    assert torch.equal(first.eval()(*batch.inputs), second.eval()(*batch.inputs))


def test_token_embeddings_begin_as_the_large_tiers_on_their_main_directions() -> None:
    data, _ = lesson(False)
    teacher = tiers.make_network(labels=2)
    student = fresh.make("static", data, teacher, tiers.make_tokenizer(), settings())
    known = teacher.encoder.get_parameter("embeddings.word_embeddings.weight").detach()
    kept = student.get_parameter("tokens.weight").detach()
    distances, found = torch.pdist(known), torch.pdist(kept)
    assert torch.corrcoef(torch.stack([distances, found]))[0, 1] > 0.8
    assert kept.std().item() == pytest.approx(1.0, abs=0.01)


def test_kinds_and_layers_that_cannot_be_are_refused() -> None:
    teacher = tiers.make_network()
    with pytest.raises(
        fresh.StudentError, match="no student of kind 'tree'; choose one of: static"
    ):
        fresh.check(("conv", "tree"), SmallSettings(), teacher)
    with pytest.raises(fresh.StudentError, match="cannot keep 5 of 4 layers; keep 1 to 4"):
        fresh.check(("shallow",), SmallSettings(layers=5), teacher)
    fresh.check(("conv",), SmallSettings(layers=5), teacher)
