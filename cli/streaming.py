"""Texts through the router in one stream, with a progress bar on standard error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from cli.texts import Source, Text
from offramp.client import Classification, Client, ItemFailure, Override

Answers = Iterator[tuple[Text, Classification | ItemFailure]]
# Fewer texts than this are done before a bar could be read.
WORTH_A_BAR = 50


def answered(client: Client, source: Source, override: Override, *, bar: bool) -> Answers:
    """Each text with its answer or failure, in the order of the texts, as they come."""
    waiting: dict[int, Text] = {}
    answers = client.classify_stream(_remembered(source.texts, waiting), override=override)
    with _progress(source.total, bar) as progress:
        task = progress.add_task("classifying", total=source.total)
        for position, result in answers:
            progress.advance(task)
            yield waiting.pop(position), result


def _remembered(texts: Iterable[Text], waiting: dict[int, Text]) -> Iterator[Text]:
    """The texts, each kept in `waiting` until its answer is there."""
    for position, text in enumerate(texts):
        waiting[position] = text
        yield text


def _progress(total: int | None, bar: bool) -> Progress:
    console = Console(stderr=True)
    quick = total is not None and total < WORTH_A_BAR
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=quick or not bar or not console.is_terminal,
        # Answers are printed meanwhile, to standard output, wherever that goes.
        redirect_stdout=False,
        redirect_stderr=False,
    )
