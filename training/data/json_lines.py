"""JSON lines: an object per line, its keys the columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from training.data.delimited import ENCODING
from training.data.table import Fault, Table, Values


def open_json_lines(path: Path) -> Table:
    """A file with an object per line; the columns are the keys of the first one."""

    def rows(names: Sequence[str]) -> Iterator[tuple[int, Values | Fault]]:
        for line, found in _objects(path):
            yield line, found if isinstance(found, Fault) else tuple(map(found.get, names))

    columns = next((tuple(found) for _, found in _objects(path) if isinstance(found, dict)), ())
    return Table(str(path), "line", columns, rows)


def _objects(path: Path) -> Iterator[tuple[int, dict[str, object] | Fault]]:
    with path.open(encoding=ENCODING) as stream:
        for line, content in enumerate(stream, start=1):
            if content.strip():
                yield line, _object(content)


def _object(content: str) -> dict[str, object] | Fault:
    try:
        found = json.loads(content)
    except ValueError as error:
        return Fault(f"is not JSON ({error}); write one object per line")
    return found if isinstance(found, dict) else Fault("is no JSON object; write one per line")
