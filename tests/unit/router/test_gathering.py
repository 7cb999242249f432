"""How many items a message gathers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.gathering import MOST, SHARE, SHORT, Gathering


@given(st.floats(0, 1), st.integers(0, 5000))
def test_never_more_than_could_come_and_one_while_a_processor_is_idle(contention, under_way):
    gathering = Gathering(lambda: contention)
    gathering.under_way = under_way
    enough = gathering.enough()
    assert 1 <= enough <= MOST
    assert enough <= max(1, under_way)
    if contention < SHORT:
        assert enough == 1
    elif under_way >= MOST / SHARE:
        assert enough == MOST
