"""JSON lines: an object per line, its keys the columns."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from training.data.delimited import ENCODING
from training.data.errors import DataError
from training.data.table import Fault, Table, Values

# Characters beyond the first 65,536 are escaped in two halves.
ESCAPED = "\\ud"
SURROGATE = re.compile("[\ud800-\udfff]")
HALF = "holds half of a character, as \\ud83d is without what follows it; remove it"


def open_json_lines(path: Path) -> Table:
    """A file with an object per line; the columns are the keys of them all."""

    def rows(names: Sequence[str]) -> Iterator[tuple[int, Values | Fault]]:
        for line, found in _objects(path):
            yield line, found if isinstance(found, Fault) else tuple(map(found.get, names))

    return Table(str(path), "line", _columns(path), rows)


def _columns(path: Path) -> tuple[str, ...]:
    """The keys of all objects. Raises DataError where the file begins with none."""
    keys: dict[str, None] = {}
    for line, found in _objects(path):
        if not isinstance(found, Fault):
            keys.update(dict.fromkeys(found))
        elif not keys:
            raise DataError(f"{path}, line {line}: {found.message}")
    return tuple(keys)


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
    if not isinstance(found, dict):
        return Fault("is no JSON object; write one per line")
    return Fault(HALF) if _holds_half(content, found) else found


def _holds_half(content: str, found: dict[str, object]) -> bool:
    r"""Whether an escape such as \ud83d stands without its other half: that is no text."""
    if ESCAPED not in content.lower():
        return False
    return any(map(SURROGATE.search, map(str, found.values())))
