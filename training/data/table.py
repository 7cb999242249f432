"""A table of rows under named columns, whatever kind of file or dataset it was read from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

Values = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row cannot be read, and what to do."""

    message: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that are read as they are asked for.

    title: what messages call it; unit: what the number of a place counts (line, row).
    rows: given names of columns, the place of every row and its values there, or its fault.
    classes: names of the integers that a column holds, where the file says so.
    """

    title: str
    unit: str
    columns: tuple[str, ...]
    rows: Callable[[Sequence[str]], Iterator[tuple[int, Values | Fault]]]
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
