"""Tables of text: TSV as it stands (a quote is a character), CSV with quotes.

UTF-8 with or without a byte-order mark, any line ends. The standard library reads them: columns
stay text (`007` is no number), and a fault has its line.
"""

from __future__ import annotations

import csv
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from training.data.errors import DataError
from training.data.table import Fault, Table, Values

ENCODING = "utf-8-sig"
# Some spreadsheets separate with other marks than the comma.
CSV_MARKS = ",;\t"


class Unquoted(csv.excel_tab):
    """Tabs between fields, and nothing else that means anything."""

    quoting = csv.QUOTE_NONE


class Quoted(csv.excel):
    """Quotes where they are needed; one that is never closed is a fault, not a long text."""

    strict = True


def open_tsv(path: Path) -> Table:
    """A file of fields between tabs, the first line naming the columns."""
    return _open(path, Unquoted, "\t")


def open_csv(path: Path) -> Table:
    """A file of fields between commas (or semicolons), the first line naming the columns."""
    with path.open(encoding=ENCODING) as stream:
        header = stream.readline()
    return _open(path, Quoted, max(CSV_MARKS, key=header.count))


def _open(path: Path, dialect: type[csv.Dialect], delimiter: str) -> Table:
    csv.field_size_limit(sys.maxsize)  # A long text is no fault.

    def records() -> Iterator[tuple[int, list[str]]]:
        with path.open(encoding=ENCODING, newline="") as stream:
            reader = csv.reader(stream, dialect, delimiter=delimiter)
            line = 1
            try:
                for fields in reader:
                    if fields:
                        yield line, fields
                    line = reader.line_num + 1
            except csv.Error as error:
                raise DataError(
                    f"{path}, line {line}: {error}; is a quote left open there, or one inside "
                    "a text not doubled?"
                ) from None

    _, header = next(records(), (1, []))
    header = [name.strip() for name in header]

    def rows(names: Sequence[str]) -> Iterator[tuple[int, Values | Fault]]:
        places = [header.index(name) for name in names]
        for line, fields in itertools.islice(records(), 1, None):
            if len(fields) == len(header):
                yield line, tuple(fields[place] for place in places)
            else:
                yield line, _uneven(len(fields), len(header), delimiter)

    return Table(str(path), "line", tuple(header), rows)


def _uneven(count: int, wanted: int, delimiter: str) -> Fault:
    mark = "tab" if delimiter == "\t" else repr(delimiter)
    return Fault(
        f"has {count} field{'' if count == 1 else 's'}, the first line names {wanted}; "
        f"does a text hold a {mark}?"
    )
