"""Bundles trained for a benchmark: kept in a work folder, one per data and settings, and reused."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from offramp.bundle import MANIFEST, file_hash
from training.settings import SmallSettings, TrainSettings
from training.train import run

# Where the result lies, how many cores worked on it and what else runs it make no other bundle.
IRRELEVANT = ("data", "out", "checkpoint", "threads", "device", "data_note", "export")
LOCK = ".training"
# Of bundles whose small tier nobody looks at.
CHEAP_STUDENT = SmallSettings(kind="static", epochs=1, augment=0)


def trained(settings: TrainSettings, work: Path) -> Path:
    """The bundle of these settings: the one in `work`, or trained now, one at a time.

    A run that was killed goes on from its checkpoint. `settings.out` is not read.
    """
    out = work / f"{settings.name}-{_key(settings)}"
    with _only_one(work):
        if (out / MANIFEST).is_file():
            return out
        return run(replace(settings, out=out))


def _key(settings: TrainSettings) -> str:
    """A short hash of the training file's content and of every setting that matters."""
    content = {k: v for k, v in asdict(settings).items() if k not in IRRELEVANT}
    content["data"] = file_hash(Path(settings.data))
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:8]


@contextmanager
def _only_one(work: Path) -> Iterator[None]:
    """Wait for another benchmark that trains in the same folder."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / LOCK).open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
