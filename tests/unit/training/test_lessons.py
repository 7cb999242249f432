"""What the large tier learns from beside the labels: its running mean, and whole texts more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support import tiny
from training import state
from training.data import LabelledTexts, Text
from training.large import train
from training.settings import LargeSettings

TEXTS = ("the plot is dreadful", "dreadful", "a warm cast", "warm", "very noisy and dull", "dull")
DATA = LabelledTexts(
    tuple(Text(text) for text in TEXTS),
    np.eye(2, dtype=np.float32)[[0, 0, 1, 1, 0, 0]],
    ("negative", "positive"),
)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_backbone(tmp_path_factory.mktemp("backbone"))


def learned(backbone: Path, data: LabelledTexts = DATA, **options: object) -> torch.Tensor:
    """The last classifier's weights after training on six texts or pairs."""
    large = LargeSettings(backbone=str(backbone), exits=(1, 3), batch_size=1, learning_rate=1e-3)
    torch.manual_seed(0)
    settings = tiny.settings(backbone / "out", backbone, large=replace(large, **options))
    network, _ = train(data, settings)
    return network.state_dict()["heads.1.out.weight"]


def test_the_running_mean_teaches_once_it_is_old_enough(
    backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six steps an epoch, a mean that knows enough after as many."""
    monkeypatch.setattr(state, "LEAST_STEPS_TO_TEACH", 6)
    for epochs, taught in ((1, False), (2, True)):
        alone = learned(backbone, epochs=epochs, mean_teacher=0.0)
        with_mean = learned(backbone, epochs=epochs, mean_teacher=0.9)
        assert torch.equal(alone, with_mean) is not taught


def test_a_whole_text_does_not_weigh_what_a_fragment_weighs(backbone: Path) -> None:
    same = learned(backbone, epochs=1, whole_texts=1.0)
    assert torch.equal(same, learned(backbone, epochs=1, whole_texts=1.0))
    assert not torch.equal(same, learned(backbone, epochs=1, whole_texts=2.0))


def test_words_are_hidden_in_texts_but_not_in_pairs(backbone: Path) -> None:
    pairs = replace(DATA, texts=tuple(replace(text, pair="a warm plot") for text in DATA.texts))
    for data, hidden in ((DATA, True), (pairs, False)):
        seen = learned(backbone, data, epochs=1, mask_words=0.0)
        masked = learned(backbone, data, epochs=1, mask_words=0.5)
        assert torch.equal(seen, masked) is not hidden
