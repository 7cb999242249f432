"""Which calls are let in: no more than may be under way."""

from __future__ import annotations

from offramp.errors import OverloadedError


class Admission:
    """Counts calls that have one answer.

    most: calls that may be under way.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._under_way = 0

    def __enter__(self) -> None:
        """Take a place while a call is under way. Raises OverloadedError where there is none."""
        if self._under_way >= self._most:
            raise OverloadedError(
                f"{self._under_way} calls are under way, as many as may be; try again soon"
            )
        self._under_way += 1

    def __exit__(self, *_: object) -> None:
        self._under_way -= 1
