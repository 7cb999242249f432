"""Progress bars with time left, on standard error, the same for every long step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console(stderr=True)
TENTHS = 10


def say(message: str) -> None:
    """Tell what is going on, in a line of its own however long it is; brackets are no markup."""
    console.print(message, markup=False, highlight=False, soft_wrap=True)


class Step(Protocol):
    """One long step: tell it how far it is."""

    def advance(self, note: str = "") -> None:
        """One unit done; `note` stands beside the bar."""
        ...


class _BarStep:
    def __init__(self, progress: Progress, total: int, title: str, done: int) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=total, completed=done, note="")

    def advance(self, note: str = "") -> None:
        self._progress.update(self._task, advance=1, note=note)


class _LogStep:
    """A line at every tenth of the way, where no bar can be drawn."""

    def __init__(self, total: int, title: str, done: int) -> None:
        self._title, self._total, self._done = title, total, done
        self._before, self._began = done, time.monotonic()

    def advance(self, note: str = "") -> None:
        self._done += 1
        if self._done * TENTHS // self._total > (self._done - 1) * TENTHS // self._total:
            spent = time.monotonic() - self._began
            left = spent * (self._total - self._done) / (self._done - self._before)
            say(
                f"{self._title}: {self._done}/{self._total}, {spent:.0f} s, "
                f"{left:.0f} s left {note}"
            )


@contextmanager
def step(title: str, total: int, done: int = 0) -> Iterator[Step]:
    """Show a bar for `total` units while the block runs; in a log, a line at every tenth.

    done: units that an earlier run had done already.
    """
    if not console.is_terminal:
        yield _LogStep(total, title, done)
        return
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
    )
    with progress:
        yield _BarStep(progress, total, title, done)
