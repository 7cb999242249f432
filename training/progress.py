"""Progress bars with time left, on standard error, the same for every long step."""

from __future__ import annotations

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


class Step(Protocol):
    """One long step: tell it how far it is."""

    def advance(self, note: str = "") -> None:
        """One unit done; `note` stands beside the bar."""
        ...


class _BarStep:
    def __init__(self, progress: Progress, total: int, title: str) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=total, note="")

    def advance(self, note: str = "") -> None:
        self._progress.update(self._task, advance=1, note=note)


@contextmanager
def step(title: str, total: int) -> Iterator[Step]:
    """Show a bar for `total` units while the block runs; in a log, a line at start and end."""
    if not console.is_terminal:
        console.print(f"{title}: {total} steps")
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not console.is_terminal,
    )
    with progress:
        yield _BarStep(progress, total, title)
    if not console.is_terminal:
        console.print(f"{title}: done")
