"""Fixtures that every kind of test shares."""

from __future__ import annotations

import os
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

    base = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        base = base.parent
    folder = base / "tiny"
    with FileLock(base / "tiny.lock"):
        if not (folder / "reviews").exists():
            train_bundle(folder)
    return folder / "reviews"
