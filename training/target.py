"""Where a run writes: what cannot work is said before anything long begins."""

from __future__ import annotations

import os
from pathlib import Path

from offramp.bundle.manifest import MANIFEST
from offramp.errors import OfframpError
from offramp.names import ALLOWED, is_name
from training.settings import TrainSettings


class OutputError(OfframpError):
    """The place where the bundle or its report should go cannot be used."""


def check(settings: TrainSettings) -> None:
    """Raise OutputError where the bundle or its report could not be written, or not be served."""
    check_free(settings.out)
    _check_folder(settings.out, "--out")
    out, checkpoint = settings.out.absolute(), settings.checkpoint
    if checkpoint is not None and out in (checkpoint.absolute(), *checkpoint.absolute().parents):
        raise OutputError(
            f"--checkpoint {checkpoint} lies in --out {settings.out}, which appears when all is "
            "done; name another folder with --checkpoint, or leave it out"
        )
    if settings.report is not None:
        if settings.report.is_dir():
            raise OutputError(f"{settings.report} is a folder; name a file with --report")
        _check_folder(settings.report, "--report")
    if not is_name(settings.name):
        raise OutputError(f"no route can be called {settings.name!r}; use {ALLOWED}: give --name")


def check_free(out: Path) -> None:
    """Raise OutputError where something stands already; a bundle may only want its report."""
    if (out / MANIFEST).is_file():
        raise OutputError(
            f"{out} exists already, a finished bundle: write its report with offramp report {out}, "
            "or choose another --out to train anew"
        )
    if out.exists():
        raise OutputError(f"{out} exists already; choose another --out or remove it")


def _check_folder(path: Path, option: str) -> None:
    """Raise OutputError where nothing can be written beside `path`."""
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir():
        raise OutputError(f"{path}: {above} is no folder; choose another {option}")
    if not os.access(above, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: nothing may be written in {above}; choose another {option}")
