"""Tokens of several rows, end to end and side by side."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.backends import shapes
from services.backends.packing import Packing

lengths_of_rows = st.lists(st.integers(1, 20), min_size=1, max_size=9).map(np.array)


def packing(lengths):
    shape = shapes.next_up(len(lengths), int(lengths.max()), 0)
    return Packing.of(lengths, shape), shape


@given(lengths_of_rows)
def test_a_token_is_found_in_both_forms(lengths):
    packed, (_, wide) = packing(lengths)
    for row, length in enumerate(lengths):
        for token in range(length):
            assert packed.places[packed.order[row, token]] == row * wide + token


@given(lengths_of_rows)
def test_padding_is_read_from_the_row_itself(lengths):
    """Never from its neighbours."""
    packed, (_, wide) = packing(lengths)
    for row, length in enumerate(lengths):
        places = packed.places[packed.order[row, length:]]
        assert (places == row * wide + length - 1).all()


@given(lengths_of_rows, st.integers(1, 6))
def test_a_token_s_neighbours_are_those_of_its_row(lengths, reach):
    packed, _ = packing(lengths)
    found = packed.neighbours(reach)
    assert found.shape == (len(packed.places), 2 * reach + 1)
    for row, length in enumerate(lengths):
        for token in range(length):
            around = range(token - reach, token + reach + 1)
            wanted = [
                packed.order[row, place] if 0 <= place < length else len(packed.places)
                for place in around
            ]
            assert found[packed.order[row, token]].tolist() == wanted


@given(lengths_of_rows, st.integers(1, 6))
def test_nothing_is_read_that_is_not_there(lengths, reach):
    packed, (rows, wide) = packing(lengths)
    assert packed.tokens == lengths.sum() <= len(packed.places)
    assert packed.places.min() >= 0
    assert packed.places.max() < rows * wide
    assert packed.order.min() >= 0
    assert packed.order.max() < packed.tokens
    around = packed.neighbours(reach)
    assert around.min() >= 0
    assert around.max() <= len(packed.places)  # one more is zeros
