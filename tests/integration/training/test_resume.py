"""A run that is killed goes on where it was, and ends with the very same bundle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from offramp.bundle import Manifest, read_manifest
from tests.support import tiny
from training import small, train
from training.checkpoint import Checkpoint, CheckpointError
from training.settings import LargeSettings, SmallSettings, TrainSettings

ROOT = Path(__file__).resolve().parents[3]
SECONDS_TO_WAIT = 120

# The same run in a process of its own, with a checkpoint after every step.
RUN = """
import sys
from pathlib import Path
from tests.integration.training.test_resume import settings
from training import loop, train
loop.SECONDS_BETWEEN_CHECKPOINTS = 0.0
train.run(settings(Path(sys.argv[1]), Path(sys.argv[2])))
"""


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_backbone(tmp_path_factory.mktemp("backbone"))


def settings(out: Path, backbone: Path) -> TrainSettings:
    return tiny.settings(
        out,
        backbone,
        large=LargeSettings(backbone=str(backbone), exits=(1, 3), epochs=3),
        small=SmallSettings(kind="conv", epochs=15, least_steps=1, augment=1, embedding=8, width=8),
    )


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, backbone: Path) -> Manifest:
    """What a run that nobody kills ends with."""
    out = tmp_path_factory.mktemp("unbroken") / "out"
    return read_manifest(train.run(settings(out, backbone)))


def start_and_kill(out: Path, backbone: Path, phase: str) -> int:
    """Start the run and kill it in the middle of a phase; return the steps it had done by then."""
    command = [sys.executable, "-c", RUN, str(out), str(backbone)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, env=os.environ)
    try:
        checkpoint, done = Checkpoint(train.beside(out)), 0
        until = time.monotonic() + SECONDS_TO_WAIT
        while done < 5 and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
            done = (checkpoint.load(phase) or {"done": 0})["done"]
    finally:
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run was over before it could be killed"
    return int(done)


@pytest.mark.parametrize("phase", ["large", "small-conv"])
def test_a_killed_run_ends_with_the_bundle_of_an_unbroken_one(
    tmp_path: Path,
    backbone: Path,
    unbroken: Manifest,
    phase: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert start_and_kill(out, backbone, phase) >= 5
    assert not out.exists()
    found = read_manifest(train.run(settings(out, backbone)))
    said = capsys.readouterr().err
    assert f"going on from the checkpoint in {out}.partial" in said
    assert "goes on from its checkpoint, at step" in said
    assert found.files == unbroken.files, "every weight is the same"
    assert found.id == unbroken.id
    assert not train.beside(out).exists(), "the checkpoint goes when the bundle is there"


def test_a_checkpoint_of_other_settings_is_refused(
    tmp_path: Path, backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError("the machine goes down")

    first = settings(tmp_path / "out", backbone)
    monkeypatch.setattr(small, "select", fail)
    with pytest.raises(OSError, match="goes down"):
        train.run(first)
    other = replace(first, seed=1, large=replace(first.large, epochs=4))
    with pytest.raises(CheckpointError) as caught:
        train.run(other)
    assert "settings.large.epochs (then 3, now 4)" in str(caught.value)
    assert "settings.seed (then 0, now 1)" in str(caught.value)
    assert "held-out texts" in str(caught.value)
