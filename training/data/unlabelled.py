"""Texts without labels: a line each, or a column of any table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training.data.columns import Columns, find_texts
from training.data.delimited import ENCODING
from training.data.errors import DataError, Faults
from training.data.source import not_utf8, open_table, read_rows
from training.data.table import Fault, Table
from training.data.texts import Text


def read_unlabelled(
    source: Path | str, columns: Columns | None = None, *, pairs: bool = False
) -> tuple[Text, ...]:
    """The distinct texts of a file or dataset; empty ones are left out.

    A .txt file is read line by line; any other source as a table with a column of texts.
    Raises DataError where a row cannot be read, there are no texts, or they are pairs where single
    texts are wanted (or the other way round).
    """
    path = Path(source)
    if path.suffix.lower() == ".txt":
        return _checked(str(path), tuple(Text(line) for line in _lines(path)), pairs)
    table = open_table(source)
    text, pair = find_texts(table.title, table.columns, columns or Columns())
    names = (text,) if pair is None else (text, pair)
    return _checked(table.title, tuple(_texts(table, names)), pairs)


def _texts(table: Table, names: Sequence[str]) -> dict[Text, None]:
    """The distinct texts of a table, in order, if every row can be read."""
    found: dict[Text, None] = {}
    faults = Faults(table.title, table.unit)
    for place, values in read_rows(table, names):
        if isinstance(values, Fault):
            faults.add(place, values.message)
        elif all(isinstance(value, str) and value.strip() for value in values):
            found[Text(*map(str, values))] = None
    faults.check()
    return found


def _lines(path: Path) -> dict[str, None]:
    """The distinct lines of a file, in order."""
    try:
        with path.open(encoding=ENCODING) as stream:
            return {line.rstrip("\r\n"): None for line in stream if line.strip()}
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError:
        raise not_utf8(path) from None


def _checked(title: str, texts: tuple[Text, ...], pairs: bool) -> tuple[Text, ...]:
    if not texts:
        raise DataError(f"{title}: holds no text")
    if (texts[0].pair is not None) != pairs:
        kinds = ("single texts", "pairs of texts")
        raise DataError(
            f"{title}: holds {kinds[not pairs]}, the labelled data {kinds[pairs]}; "
            "choose a file of the same kind, or name the columns as in the labelled data"
        )
    return texts
