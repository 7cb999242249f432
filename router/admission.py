"""Which calls are let in: no more than may be under way, those that wait in gRPC included."""

from __future__ import annotations

from collections.abc import Callable

from offramp.errors import OverloadedError


class Admission:
    """Counts calls that have one answer.

    gRPC gives them to the event loop in the order in which they came, and little faster than they
    are answered. So where more wait than may be under way, the first of them are refused until no
    more than that are left, which takes the loop a fraction of what it would to answer them.

    most: calls that may be under way.  waiting: how many are not yet taken in.
    """

    def __init__(self, most: int, waiting: Callable[[], int]) -> None:
        self._most = most
        self._waiting = waiting
        self._under_way = 0

    def __enter__(self) -> None:
        """Take a place while a call is under way. Raises OverloadedError where there is none."""
        waiting = self._waiting()
        if self._under_way + waiting >= self._most:
            raise OverloadedError(
                f"{self._under_way} calls are under way and {waiting} wait, more than the "
                f"{self._most} that may; try again soon"
            )
        self._under_way += 1

    def __exit__(self, *_: object) -> None:
        self._under_way -= 1
