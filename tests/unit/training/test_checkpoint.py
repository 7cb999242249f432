"""Checkpoints: written whole, read back, and refused where they are another run's."""

from __future__ import annotations

import json
import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from training.checkpoint import Checkpoint, CheckpointError

IDENTITY = {"settings": {"epochs": 3, "exits": (1, 2)}, "texts": "abc"}


def kept(folder: Path) -> Checkpoint:
    """A checkpoint with something to go on from."""
    checkpoint = Checkpoint(folder)
    checkpoint.claim(IDENTITY)
    checkpoint.save("large", {"done": 3, "weights": {"a": torch.arange(3.0)}})
    return checkpoint


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    found = kept(tmp_path / "c").load("large") or {}
    assert found["done"] == 3
    assert found["weights"]["a"].tolist() == [0, 1, 2]
    assert Checkpoint(tmp_path / "c").load("small") is None


def test_a_run_goes_on_only_from_what_was_kept_for_it(tmp_path: Path) -> None:
    assert not Checkpoint(tmp_path / "c").claim(IDENTITY), "there was nothing yet"
    assert not Checkpoint(tmp_path / "c").claim(IDENTITY), "claimed, but nothing kept"
    kept(tmp_path / "c")
    assert Checkpoint(tmp_path / "c").claim(IDENTITY)


def test_another_run_is_refused_and_told_where_it_differs(tmp_path: Path) -> None:
    kept(tmp_path / "c")
    other = {"settings": {"epochs": 2, "exits": (1, 2)}, "texts": "abd"}
    with pytest.raises(CheckpointError) as caught:
        Checkpoint(tmp_path / "c").claim(other)
    assert 'settings.epochs (then 3, now 2); texts (then "abc", now "abd")' in str(caught.value)
    assert "Remove the folder to begin anew" in str(caught.value)


def test_a_claim_without_anything_kept_is_free_for_another_run(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "c").claim(IDENTITY)
    assert not Checkpoint(tmp_path / "c").claim({"texts": "abd"})


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(CheckpointError, match="holds no checkpoint of a run; name another"):
        Checkpoint(tmp_path).claim(IDENTITY)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_write_that_fails_leaves_the_last_one_whole(tmp_path: Path) -> None:
    checkpoint = kept(tmp_path / "c")
    with pytest.raises(AttributeError):
        checkpoint.save("large", {"done": 4, "weights": lambda: None})
    assert (checkpoint.load("large") or {})["done"] == 3
    names = ["clock.json", "large.pt", "run.json"]
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == names


def test_a_full_disk_is_told_and_what_was_kept_stays(tmp_path: Path) -> None:
    checkpoint = kept(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(CheckpointError, match=r"large.pt cannot be written: is the disk full"):
            checkpoint.save("large", {"done": 4, "weights": torch.zeros(100_000)})
        with pytest.raises(CheckpointError, match=r"more.npy cannot be written: is the disk full"):
            checkpoint.array("more", lambda: np.zeros(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (checkpoint.load("large") or {})["done"] == 3
    assert not (tmp_path / "more.npy").exists()


def test_a_broken_file_is_told(tmp_path: Path) -> None:
    checkpoint = kept(tmp_path / "c")
    (tmp_path / "c" / "large.pt").write_bytes(b"half a file")
    with pytest.raises(CheckpointError, match=r"large\.pt cannot be read .* remove the file"):
        checkpoint.load("large")


def test_a_long_computed_array_is_computed_once(tmp_path: Path) -> None:
    counted = []

    def compute() -> np.ndarray:
        counted.append(1)
        return np.arange(4.0)

    for _ in range(2):
        assert Checkpoint(tmp_path).array("answers", compute).tolist() == [0, 1, 2, 3]
    assert len(counted) == 1


def test_the_seconds_of_the_parts_that_were_killed_add_up(tmp_path: Path) -> None:
    first = kept(tmp_path)
    assert first.seconds == 0.0
    for seconds, together in ((100.0, 100.0), (40.0, 140.0)):
        began = json.loads((tmp_path / "clock.json").read_text())["began"]
        os.utime(tmp_path / "large.pt", (began + seconds, began + seconds))
        later = Checkpoint(tmp_path)
        assert later.claim(IDENTITY)
        assert later.seconds == pytest.approx(together, abs=0.1)


def test_without_a_folder_nothing_is_kept() -> None:
    nowhere = Checkpoint(None)
    assert not nowhere.claim(IDENTITY)
    nowhere.save("large", {})
    assert nowhere.load("large") is None
    assert nowhere.array("answers", lambda: np.ones(1)).tolist() == [1]
    nowhere.remove()


def test_the_folder_goes_when_the_run_has_ended(tmp_path: Path) -> None:
    kept(tmp_path / "c").remove()
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    "name", ["train.json", ".hidden", "run.json", "clock.json", "model.pt", "vectors.npy"]
)
def test_a_folder_of_somebody_else_is_neither_claimed_nor_touched(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text('{"label": "a"}')
    with pytest.raises(CheckpointError, match="holds no checkpoint of a run; name another"):
        Checkpoint(tmp_path).claim(IDENTITY)
    assert (tmp_path / name).read_text() == '{"label": "a"}'
    assert len(list(tmp_path.iterdir())) == 1


def test_what_came_to_lie_beside_a_checkpoint_stays(tmp_path: Path) -> None:
    checkpoint = kept(tmp_path / "c")
    (tmp_path / "c" / "notes.txt").write_text("mine")
    (tmp_path / "c" / ".large.pt-x1y2").write_text("what a killed run left")
    checkpoint.remove()
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["notes.txt"]


def test_a_folder_that_is_gone_already_is_no_failure(tmp_path: Path) -> None:
    checkpoint = kept(tmp_path / "c")
    shutil.rmtree(tmp_path / "c")
    checkpoint.remove()
