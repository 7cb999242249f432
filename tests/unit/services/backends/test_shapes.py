"""The shapes that stages run with: few, no smaller than what they hold, and not much larger."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.backends import shapes

sizes = st.integers(1, 600)


@given(sizes, sizes, sizes)
def test_all_fits_and_little_is_filled_up(rows, tokens, max_tokens):
    found = shapes.next_up(rows, tokens, max_tokens)
    assert found[0] >= rows
    assert found[1] >= tokens
    assert found[0] - rows <= rows / 4
    assert found[1] - tokens <= max(tokens / 4, shapes.LEAST_TOKENS - 1)
    assert found[1] <= max(tokens, max_tokens)


def test_batches_of_any_size_have_few_shapes():
    found = {shapes.next_up(n, t, 256) for n in range(1, 33) for t in range(2, 257)}
    assert len(found) <= 16 * 20


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_a_filled_batch_holds_what_it_held(lengths, more_rows, more_tokens):
    rows, tokens = len(lengths), max(lengths)
    array = np.random.default_rng(0).random((rows, tokens, 2), dtype=np.float32)
    shape = (rows + more_rows, tokens + more_tokens)
    found = shapes.filled(array, shape)
    assert found.shape == (*shape, 2)
    assert np.array_equal(found[:rows, :tokens], array)
    assert np.count_nonzero(found) == np.count_nonzero(array)
    assert np.array_equal(shapes.filled(found, (rows, tokens)), array)
    assert shapes.filled(found, shape) is found
    mask = shapes.mask(np.array(lengths), shape)
    assert mask.shape == shape
    assert mask.sum(axis=1).tolist() == lengths + [1] * more_rows
