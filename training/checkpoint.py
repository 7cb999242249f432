"""How far a training run is, on disk, so that a run that was killed can go on.

A checkpoint is a folder: `run.json` says which run it belongs to, `<phase>.pt` holds one network in
training (or trained), `<name>.npy` an array that took long to compute. Every file is written whole
or not at all: under another name, synced, renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from offramp.errors import OfframpError

RUN = "run.json"
CLOCK = "clock.json"
WORK = {".pt", ".npy"}
# Files of a checkpoint, and those that a kill left half written.
OWN = re.compile(r"(run|clock)\.json|.+\.(pt|npy)|\.((run|clock)\.json|.+\.(pt|npy))-\w+")
NOT_WRITTEN = (
    "cannot be written: is the disk full? Make room and run the same command again; "
    "what was kept before is still there"
)
NO_CHECKPOINT = "is not empty and holds no checkpoint of a run; name another --checkpoint"


class CheckpointError(OfframpError):
    """A checkpoint that this run cannot go on from."""


class Checkpoint:
    """The checkpoint in a folder; with None for a folder nothing is kept.

    seconds: once claimed, what the parts of the run that were killed took, as far as it was kept.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.seconds = 0.0

    def claim(self, identity: Mapping[str, Any]) -> bool:
        """Make the folder this run's; return whether there is something to go on from.

        identity: what a run must agree in to go on: settings and data, as JSON would hold them.
        Raises CheckpointError where the folder belongs to another run, or is no checkpoint.
        """
        if self.folder is None:
            return False
        wanted = json.loads(json.dumps(identity, default=str))
        self.folder.mkdir(parents=True, exist_ok=True)
        names = [path.name for path in self.folder.iterdir()]
        if names and not (all(map(OWN.fullmatch, names)) and self._clock()):
            raise CheckpointError(f"{self.folder} {NO_CHECKPOINT}")
        kept = [path for path in self.folder.iterdir() if path.suffix in WORK]
        if kept:
            self._refuse_other(wanted)
            self.seconds = self._spent(kept)
        self._write_json(CLOCK, {"seconds": self.seconds, "began": time.time()})
        self._write_json(RUN, wanted)
        return bool(kept)

    def _clock(self) -> dict[str, float]:
        """When the run began; it stands in every checkpoint, so that none means: not ours."""
        try:
            found = json.loads(((self.folder or Path()) / CLOCK).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) and found.keys() == {"seconds", "began"} else {}

    def _spent(self, kept: Iterable[Path]) -> float:
        """Seconds from the beginning of the parts that were killed to the last that they kept."""
        clock, last = self._clock(), max(path.stat().st_mtime for path in kept)
        return float(clock["seconds"] + max(0.0, last - clock["began"]))

    def load(self, phase: str) -> dict[str, Any] | None:
        """What `save` was given last for this phase, on the CPU; None where nothing was."""
        path = self._path(f"{phase}.pt")
        if path is None or not path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # A broken file makes torch trip in many ways.
            raise CheckpointError(f"{path} cannot be read ({error!r}); remove the file") from None
        return state

    def save(self, phase: str, state: Mapping[str, Any]) -> None:
        """Keep the state of a phase: tensors, numbers, strings, and dicts and lists of them."""
        self._write(f"{phase}.pt", lambda file: torch.save(dict(state), file))

    def array(self, name: str, compute: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """An array that is computed once in a run, and read when the run goes on after a kill."""
        path = self._path(f"{name}.npy")
        if path is not None and path.exists():
            found: NDArray[Any] = np.load(path, allow_pickle=False)
            return found
        array = compute()
        self._write(f"{name}.npy", lambda file: np.save(file, array, allow_pickle=False))
        return array

    def remove(self) -> None:
        """Remove what was kept, once the run has ended well; the folder, unless it holds more."""
        if self.folder is None:
            return
        with suppress(OSError):  # the bundle is there; what cannot be removed is no failure
            for path in list(self.folder.iterdir()):
                if OWN.fullmatch(path.name):
                    path.unlink(missing_ok=True)
            self.folder.rmdir()

    def _path(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / name

    def _write(self, name: str, write: Callable[[BinaryIO], object]) -> None:
        if self.folder is not None:
            with _whole(self.folder / name) as file:
                write(file)

    def _write_json(self, name: str, content: Any) -> None:
        self._write(name, lambda file: file.write(json.dumps(content, indent=2).encode()))

    def _refuse_other(self, wanted: Mapping[str, Any]) -> None:
        try:
            kept = json.loads((self.folder or Path()).joinpath(RUN).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise CheckpointError(f"{self.folder} {NO_CHECKPOINT}") from None
        different = sorted(_differences(kept, wanted))
        if different:
            raise CheckpointError(
                f"the checkpoint in {self.folder} is of another run, which differs in: "
                f"{'; '.join(different)}. Remove the folder to begin anew, repeat that run's "
                "command to go on with it, or name another --checkpoint"
            )


def fingerprint(*parts: bytes | str) -> str:
    """A short hash of what a run reads."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()[:16]


def _differences(kept: Any, wanted: Any, path: str = "") -> Iterator[str]:
    """Where two runs differ, as `large.epochs (then 3, now 2)`."""
    if isinstance(kept, dict) and isinstance(wanted, dict):
        for key in kept.keys() | wanted.keys():
            inner = f"{path}.{key}" if path else key
            yield from _differences(kept.get(key), wanted.get(key), inner)
    elif kept != wanted:
        yield f"{path} (then {json.dumps(kept)}, now {json.dumps(wanted)})"


@contextmanager
def _whole(target: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name only when it is complete and on the disk."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, target)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        # What the system says of a full disk, torch turns into an error of its own.
        if isinstance(error, OSError | RuntimeError):
            raise CheckpointError(f"{target} {NOT_WRITTEN} ({error})") from None
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
