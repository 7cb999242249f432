"""Fixtures that every kind of test shares."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A really trained bundle with the exits small, large@1, large@2, large@3; do not change it.

    Parallel workers share one: the first to come trains it.
    """
    from tests.support.tiny import train_bundle

    folder = _shared(tmp_path_factory, worker_id) / "tiny"
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "reviews").exists():
            train_bundle(folder)
    return folder / "reviews"


@pytest.fixture(scope="session")
def exported_bundle(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str, tiny_bundle: Path
) -> Path:
    """The tiny bundle with stages for OpenVINO: it is served without PyTorch. Do not change it."""
    from training import export

    folder = _shared(tmp_path_factory, worker_id) / "exported"
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "reviews").exists():
            unfinished = Path(shutil.copytree(tiny_bundle, folder / "unfinished"))
            export.run(unfinished)
            unfinished.rename(folder / "reviews")
    return folder / "reviews"


def _shared(factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that parallel workers share."""
    base = factory.getbasetemp()
    return base if worker_id == "master" else base.parent
