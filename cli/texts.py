"""Texts to classify: from arguments, standard input, or a file of lines, TSV, CSV or JSON lines."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import typer

Text = str | tuple[str, str]
STDIN = "-"


@dataclass(frozen=True, slots=True)
class Source:
    """Texts, read as they are asked for; `total` is None where nobody knows yet."""

    texts: Iterable[Text]
    total: int | None


def from_arguments(texts: Sequence[str], pair: str | None) -> Source:
    """The texts of the command line; with `pair`, one text and its second half."""
    if pair is None:
        return Source(list(texts), len(texts))
    if len(texts) != 1:
        raise typer.BadParameter("--pair goes with exactly one text")
    return Source([(texts[0], pair)], 1)


def from_stdin() -> Source:
    """One text per line of standard input, as the lines come; blank lines are left out."""
    return Source(_lines(_stdin()), None)


def from_file(path: Path, column: str | None, pair_column: str | None) -> Source:
    """One text per line, or per row where the file's name says that it has columns."""
    read = _READERS.get(path.suffix.lower())
    if read is None:
        if column or pair_column:
            raise typer.BadParameter(
                f"{path} has no columns; name it .tsv, .csv or .jsonl, or leave --column out"
            )
        # A pipe can be read once only.
        total = sum(1 for _ in _from_lines(path)) if path.is_file() else None
        return Source(_from_lines(path), total)
    chosen = _columns(path, read, column, pair_column)
    return Source(_from_rows(path, read, *chosen), sum(1 for _ in _rows(path, read)))


def _stdin() -> TextIO:
    """Standard input as a file of its own: the process may end while a thread waits for a line, and
    Python takes it for a fatal error where that thread has `sys.stdin` locked.
    """
    try:
        return open(
            sys.stdin.fileno(), encoding=sys.stdin.encoding, errors=sys.stdin.errors, closefd=False
        )
    except OSError:  # no file of the system's
        return sys.stdin


def _lines(stream: TextIO) -> Iterator[str]:
    return (line.rstrip("\r\n") for line in stream if line.strip())


def _from_lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as stream:
        yield from _lines(stream)


def _tsv(stream: TextIO) -> Iterator[Mapping[str, object]]:
    return iter(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def _csv(stream: TextIO) -> Iterator[Mapping[str, object]]:
    return iter(csv.DictReader(stream))


def _json_lines(stream: TextIO) -> Iterator[Mapping[str, object]]:
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise typer.BadParameter(f"line {number} is not JSON ({error})") from None
        if not isinstance(row, dict):
            raise typer.BadParameter(f'line {number} is no object; write {{"text": "…"}} per line')
        yield row


Reader = Callable[[TextIO], Iterator[Mapping[str, object]]]
_READERS: dict[str, Reader] = {
    ".tsv": _tsv,
    ".csv": _csv,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
}


def _rows(path: Path, read: Reader) -> Iterator[Mapping[str, object]]:
    with path.open(encoding="utf-8", newline="") as stream:
        yield from read(stream)


def _from_rows(path: Path, read: Reader, column: str, pair: str | None) -> Iterator[Text]:
    for number, row in enumerate(_rows(path, read), start=1):
        values = [row.get(name) for name in (column, pair) if name is not None]
        for name, value in zip((column, pair), values, strict=False):
            if not isinstance(value, str):
                raise typer.BadParameter(f"{path}, row {number}: {name!r} holds no text")
        yield str(values[0]) if pair is None else (str(values[0]), str(values[1]))


def _columns(
    path: Path, read: Reader, column: str | None, pair_column: str | None
) -> tuple[str, str | None]:
    """The columns asked for, or those with the names that training finds too."""
    from training.data.columns import PAIRS, TEXT_COLUMNS

    first = next(_rows(path, read), None)
    if first is None:
        raise typer.BadParameter(f"{path} has no rows; its first line must name the columns")
    if column is None and pair_column is None:
        for pair in PAIRS:
            if set(pair) <= first.keys():
                return pair
    text = _choose(path, first, column, TEXT_COLUMNS)
    return text, None if pair_column is None else _choose(path, first, pair_column, ())


def _choose(path: Path, row: Mapping[str, object], asked: str | None, usual: Sequence[str]) -> str:
    for name in (asked,) if asked else usual:
        if name in row:
            return name
    raise typer.BadParameter(
        f"{path} has no column {asked or ' or '.join(usual)}; "
        f"it has {', '.join(map(str, row))}: choose one with --column"
    )
