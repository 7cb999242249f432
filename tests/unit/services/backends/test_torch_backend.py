"""Batches of hidden states: selecting, merging and going on give the logits of each row alone."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from services.backends.torch_backend import TorchRow, gather
from tests.support import tiers
from tests.support.reference import exit_probabilities

texts = st.lists(st.sampled_from(tiers.WORDS), min_size=1, max_size=30).map(" ".join)


def begin(backend, rows):
    return backend.begin(backend.encode([(text, None) for text in rows]))


def alone(backend, text):
    """Logits (E, C) of one text by the network's own forward."""
    ids = torch.tensor([backend.encode([(text, None)])[0].token_ids])
    with torch.inference_mode():
        return backend._network(ids, torch.ones_like(ids), torch.zeros_like(ids))[:, 0].numpy()


@settings(max_examples=30)
@given(st.lists(texts, min_size=1, max_size=6), st.lists(texts, min_size=1, max_size=6), st.data())
def test_rows_of_several_batches_go_on_as_if_alone(backend, first, second, data):
    pool: list[tuple[str, TorchRow]] = []
    for batch in (first, second):
        states, _ = backend.run_stage(0, begin(backend, batch))
        pool += zip(batch, states, strict=True)
    chosen = data.draw(st.permutations(pool))[: data.draw(st.integers(1, len(pool)))]
    states, logits = backend.run_stage(1, [state for _, state in chosen])
    for (text, _), row in zip(chosen, logits, strict=True):
        np.testing.assert_allclose(row, alone(backend, text)[1], atol=1e-4)
    _, logits = backend.run_stage(2, states[::2])
    for (text, _), row in zip(chosen[::2], logits, strict=True):
        np.testing.assert_allclose(row, alone(backend, text)[2], atol=1e-4)


def test_same_rows_in_the_same_order_are_not_copied(backend):
    states, _ = backend.run_stage(0, begin(backend, ["w1", "w2 w3"]))
    assert gather(states) is states[0].batch


def test_survivors_leave_the_padding_of_the_others_behind(backend):
    states, _ = backend.run_stage(0, begin(backend, ["w1", "w2 " * 15, "w3 w4"]))
    kept = gather([states[0], states[2]])
    assert kept.states.hidden.shape == (2, 4, 32)
    assert kept.states.attention_mask.sum(dim=1).tolist() == kept.lengths.tolist() == [3, 4]


def test_threads_are_set_on_the_thread_that_computes(backend):
    before = torch.get_num_threads()
    try:
        type(backend)(backend._network, backend._encoder, threads=before + 1).prepare()
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_reference_is_what_the_tokenizer_called_plainly_gives(backend):
    logits = alone(backend, "w1 w2")
    calibrated = exit_probabilities("w1 w2")
    assert logits.argmax(axis=1).tolist() == calibrated.argmax(axis=1).tolist()
