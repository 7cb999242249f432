"""Exits and lengths left to "auto" are settled on held-out texts, with real tiny models."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.support import tiers
from training import exits, lengths
from training.assemble import Tier
from training.batches import encode
from training.data import LabelledTexts, Text
from training.large import score
from training.settings import LargeSettings, TrainSettings
from training.tailor import HeldOut, tailored

MAX_TOKENS = 24


def texts(count: int, seed: int) -> LabelledTexts:
    """Random texts; most have the label that the large tier's last exit finds."""
    rng = np.random.default_rng(seed)
    words = [Text(" ".join(rng.choice(tiers.WORDS, rng.integers(3, 18)))) for _ in range(count)]
    encoded = encode(tiers.make_tokenizer(), words, MAX_TOKENS)
    labels = score(tiers.make_network(), encoded, "labels")[-1].argmax(axis=-1)
    labels = np.where(rng.random(count) < 0.2, rng.integers(0, 3, count), labels)
    return LabelledTexts(tuple(words), np.eye(3, dtype=np.float32)[labels], ("a", "b", "c"))


@pytest.fixture(scope="module")
def trial() -> LabelledTexts:
    return texts(100, 1)


@pytest.fixture
def models() -> tuple[Tier, Tier]:
    tokenizer = tiers.make_tokenizer()
    large = tiers.make_network((1, 2, 3, 4))
    return Tier(tiers.make_student(), tokenizer), Tier(large, tokenizer)


@pytest.fixture
def held_out(models, trial) -> HeldOut:
    return HeldOut(*models, trial, MAX_TOKENS)


@pytest.fixture
def cut(models, trial):
    """Cut the large tier by these settings."""

    def run(large=models[1], **changes):
        options = LargeSettings(**changes)
        settings = TrainSettings("", "", "t", max_tokens=MAX_TOKENS, large=options)
        return tailored(models[0], large, trial, settings)

    return run


def test_without_auto_the_network_stays_as_it_is(models, cut) -> None:
    assert cut(exits=(1, 2, 3, 4)) is models[1].network


def test_evidence_is_of_the_trial_texts_and_their_logits(models, held_out, trial) -> None:
    evidence = held_out.evidence(models[1].network)
    assert evidence.labels.tolist() == trial.labels.tolist()
    assert [e.tier for e in evidence.exits] == ["small"] + ["large"] * 4
    ids = models[1].tokenizer(trial.texts[7].text, return_tensors="pt")
    with torch.inference_mode():
        expected = [network(**ids)[:, 0].numpy() for network in (m.network for m in models)]
    np.testing.assert_allclose(evidence.logits[:, 7], np.concatenate(expected), atol=1e-4)
    assert evidence.tokens[7] == ids["input_ids"].shape[1]


def test_every_exit_has_its_own_temperature(models, held_out) -> None:
    evidence = held_out.evidence(models[1].network)
    temperatures = [readout.calibrator for readout in evidence.readouts]
    assert len(set(temperatures)) == len(temperatures)


def test_the_exits_that_stay_are_those_chosen_on_evidence(models, held_out, cut) -> None:
    whole = models[1].network
    chosen = exits.choose(held_out.evidence(whole))
    network = cut(exits="auto")
    assert network.config.exits == tuple(whole.config.exits[i] for i in chosen)
    ids = torch.randint(4, 60, (2, 9))
    mask = torch.ones_like(ids)
    assert torch.equal(network(ids, mask), whole(ids, mask)[list(chosen)])


def test_lengths_are_those_chosen_on_evidence(models, held_out, cut) -> None:
    network = cut(keep="auto")

    def evidence_with(keep):
        network.keep_tokens(keep)
        return held_out.evidence(network)

    found = network.config.keep
    assert found == lengths.choose(evidence_with, lengths.candidates(3))
    shorter, whole = evidence_with((0.5, 0.5, 0.5)), evidence_with(None)
    assert np.array_equal(shorter.logits[:2], whole.logits[:2])
    assert not np.allclose(shorter.logits[2], whole.logits[2])
    assert shorter.exits[-1].flops.at(20) < whole.exits[-1].flops.at(20)


def test_only_a_network_with_exits_can_be_cut(models, cut) -> None:
    with pytest.raises(TypeError, match="has no exits to choose from"):
        cut(large=models[0], exits="auto")
