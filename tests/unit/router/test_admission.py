"""Calls that are let in, and those that are refused because too many are under way."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from offramp.errors import OverloadedError
from router.admission import Admission


def test_as_many_as_may_be_under_way_are_let_in_and_a_place_is_given_back():
    admission = Admission(2)
    with ExitStack() as held:
        held.enter_context(admission)
        with admission, pytest.raises(OverloadedError, match="2 calls are under way"):
            held.enter_context(admission)
        held.enter_context(admission)


def test_a_call_that_fails_gives_its_place_back():
    admission = Admission(1)
    for _ in range(2):
        with pytest.raises(RuntimeError), admission:
            raise RuntimeError
