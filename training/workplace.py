"""A folder to work in until what is made there is whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """`folder`, empty while the block runs and gone afterwards, unless it was moved away.

    Its name is always the same, so that what a killed run left there goes too.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_readable(folder: Path) -> None:
    """Let other users read it: services in containers are not the one who trained."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
