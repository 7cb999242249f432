"""The training loop: it learns, keeps the running mean, and goes on bit by bit after a kill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from training import loop, state
from training.batches import Batch, Encoded
from training.checkpoint import Checkpoint
from training.device import DeviceError, resolve
from training.loop import Plan, fit
from training.settings import TrainSettings

ROWS = 60
PLAN = Plan("net", "a net", epochs=3, batch_size=8, average=0.9)
SETTINGS = TrainSettings(Path("d.tsv"), Path("out"), "test", device="cpu", bf16=False)


class Killed(Exception):
    """What a kill looks like from inside."""


class Net(nn.Module):
    """Tokens to one of two answers, with dropout: it draws from torch's random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(50, 8)
        self.drop = nn.Dropout(0.3)
        self.out = nn.Linear(8, 2)
        self.following: list[float] = []

    def forward(self, ids: Tensor) -> Tensor:
        return self.out(self.drop(self.words(ids)))


def data() -> Encoded:
    rng = np.random.default_rng(3)
    return Encoded([rng.integers(1, 50, size=4 + i % 9).tolist() for i in range(ROWS)], None, 0)


def train(settings: TrainSettings, plan: Plan = PLAN, stop_at: int | None = None) -> Net:
    """Learn whether a text's first token is above the middle; killed in step `stop_at`."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network, texts = Net(), data()
    labels = torch.tensor([int(row[0] > 25) for row in texts.ids])
    steps = 0

    def loss(batch: Batch, mean: nn.Module | None) -> Tensor:
        nonlocal steps
        if steps == stop_at:
            raise Killed
        steps += 1
        noise = torch.from_numpy(rng.random(len(batch.rows))).float()
        logits = network(batch.input_ids)
        each = nn.functional.cross_entropy(logits, batch.of(labels), reduction="none")
        return (each * noise).mean()

    group = {"params": list(network.parameters()), "lr": 0.05, "weight_decay": 0.0}
    fit(network, [group], texts, loss, plan=plan, rng=rng, settings=settings)
    # What follows a phase draws from both generators too.
    network.following = [*torch.rand(3).tolist(), *rng.random(3).tolist()]
    return network


def weights(network: nn.Module) -> dict[str, list[float]]:
    return {name: tensor.flatten().tolist() for name, tensor in network.state_dict().items()}


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints after every step, so that a kill loses none."""
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)


def test_it_learns() -> None:
    plan = Plan("net", "a net", epochs=40, batch_size=8)
    network, texts = train(SETTINGS, plan), data()
    right = [int(network(torch.tensor([row])).argmax()) == (row[0] > 25) for row in texts.ids]
    assert not network.training
    assert np.mean(right) > 0.9


@pytest.mark.parametrize("stop_at", [0, 1, 7, 8, 13, 23])
@pytest.mark.parametrize("average", [None, 0.9])
def test_a_killed_run_ends_as_the_unbroken_one(
    tmp_path: Path, every_step: None, stop_at: int, average: float | None
) -> None:
    plan = replace(PLAN, average=average)
    settings = replace(SETTINGS, checkpoint=tmp_path)
    unbroken = train(SETTINGS, plan)
    with pytest.raises(Killed):
        train(settings, plan, stop_at)
    resumed = train(settings, plan)
    assert weights(resumed) == weights(unbroken)
    assert resumed.following == unbroken.following


def test_a_phase_that_had_ended_is_not_trained_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = replace(SETTINGS, checkpoint=tmp_path)
    first = train(settings)
    again = train(settings, stop_at=0)
    assert weights(again) == weights(first)
    assert again.following == first.following
    assert "goes on from its checkpoint, it had ended" in capsys.readouterr().err


def test_a_finished_phase_keeps_the_weights_and_no_optimiser(tmp_path: Path) -> None:
    network = train(replace(SETTINGS, checkpoint=tmp_path))
    kept = Checkpoint(tmp_path).load("net")
    assert kept is not None
    assert kept["optimiser"] is None
    assert kept["mean"] is None
    assert kept["module"]["out.bias"].tolist() == network.out.bias.tolist()


def test_the_running_mean_is_what_is_kept() -> None:
    assert weights(train(SETTINGS)) != weights(train(SETTINGS, replace(PLAN, average=None)))


@pytest.mark.parametrize("least", [0, 10, 1000])
def test_the_running_mean_answers_from_the_second_epoch_on_once_it_is_old_enough(
    monkeypatch: pytest.MonkeyPatch, least: int
) -> None:
    monkeypatch.setattr(state, "LEAST_STEPS_TO_TEACH", least)
    network, texts, seen = Net(), data(), []

    def loss(batch: Batch, mean: nn.Module | None) -> Tensor:
        seen.append(None if mean is None else (mean.training, weights(mean) != weights(network)))
        return network(batch.input_ids).square().mean()

    group = {"params": list(network.parameters()), "lr": 0.05, "weight_decay": 0.0}
    rng = np.random.default_rng(0)
    fit(network, [group], texts, loss, plan=PLAN, rng=rng, settings=SETTINGS)
    silent = min(max(len(seen) // PLAN.epochs, least), len(seen))
    assert seen == [None] * silent + [(False, True)] * (len(seen) - silent)


def test_a_loss_that_is_no_number_ends_the_run() -> None:
    network, texts = Net(), data()

    def loss(batch: Batch, mean: nn.Module | None) -> Tensor:
        return network(batch.input_ids).sum() * float("nan")

    group = {"params": list(network.parameters()), "lr": 0.05, "weight_decay": 0.0}
    with pytest.raises(loop.DivergedError, match=r"step 1 of 24.* --learning-rate"):
        fit(
            network,
            [group],
            texts,
            loss,
            plan=PLAN,
            rng=np.random.default_rng(0),
            settings=SETTINGS,
        )


def test_a_device_that_is_not_there_is_told() -> None:
    with pytest.raises(DeviceError, match="choose one of: auto, cpu, cuda"):
        resolve("tpu")
    if not torch.cuda.is_available():
        assert resolve("auto") == torch.device("cpu")
        with pytest.raises(DeviceError, match="use --device cpu"):
            resolve("cuda")
