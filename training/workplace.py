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
