"""What is wrong with a file: gathered over all its rows, said once, with the remedy."""

from __future__ import annotations

from offramp.errors import OfframpError

SHOWN = 5


class DataError(OfframpError):
    """Data that cannot be trained on; the message names file, row or column, and remedy."""


class Faults:
    """Faults of a table's rows, by kind, in the order in which they were met.

    title: what the table is called; unit: what the number of a place counts (line, row).
    """

    def __init__(self, title: str, unit: str) -> None:
        self._title, self._unit = title, unit
        self._places: dict[str, list[int]] = {}

    def add(self, place: int, fault: str) -> None:
        """A row at `place` cannot be used; `fault` says why, and what to do."""
        self._places.setdefault(fault, []).append(place)

    def check(self) -> None:
        """Raise DataError with every kind of fault, its first places and its count."""
        if self._places:
            lines = [self._line(fault, places) for fault, places in self._places.items()]
            raise DataError("\n".join(lines))

    def _line(self, fault: str, places: list[int]) -> str:
        shown = ", ".join(str(place) for place in places[:SHOWN])
        more = f" and {len(places) - SHOWN:,} more" if len(places) > SHOWN else ""
        unit = self._unit if len(places) == 1 else f"{self._unit}s"
        return f"{self._title}, {unit} {shown}{more}: {fault}"
