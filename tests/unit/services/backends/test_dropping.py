"""Rows that become shorter on the way: joined, parted and padded, each goes on as if alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from services.backends.tokenizing import TextEncoder
from services.backends.torch_backend import TorchBackend
from tests.support import tiers
from tests.support.backends import begin

KEEP = (0.7, 0.4)
texts = st.lists(st.sampled_from(tiers.WORDS), min_size=1, max_size=20).map(" ".join)


@pytest.fixture(scope="module")
def network():
    network = tiers.make_network()
    network.keep_tokens(KEEP)
    return network


@pytest.fixture(scope="module")
def backend(network):
    return TorchBackend(network, TextEncoder.of(tiers.make_tokenizer(), tiers.MAX_TOKENS))


@torch.inference_mode()
def alone(network, backend, text):
    ids = torch.tensor([backend.encode([(text, None)])[0].token_ids])
    return network(ids, torch.ones_like(ids), torch.zeros_like(ids))[:, 0].numpy()


@settings(max_examples=30)
@given(st.lists(texts, min_size=1, max_size=5), st.lists(texts, min_size=1, max_size=5), st.data())
def test_shortened_rows_of_several_batches_go_on_as_if_alone(network, backend, first, second, data):
    pool = []
    for batch in (first, second):
        states, _ = backend.run_stage(0, begin(backend, batch))
        pool += zip(batch, states, strict=True)
    chosen = data.draw(st.permutations(pool))[: data.draw(st.integers(1, len(pool)))]
    states, _ = backend.run_stage(1, [state for _, state in chosen])
    _, logits = backend.run_stage(2, states[::2])
    for (text, _), row in zip(chosen[::2], logits, strict=True):
        np.testing.assert_allclose(row, alone(network, backend, text)[2], atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_lengths_on_the_host_are_those_of_the_network(network, precision):
    encoder = TextEncoder.of(tiers.make_tokenizer(), tiers.MAX_TOKENS)
    backend = TorchBackend(network, encoder, precision=precision)
    backend.prepare()
    rows = begin(backend, ["w1", "w2 " * 15, "w3 w4 w5 w6 w7 w8"])
    for stage in range(backend.stages):
        rows, _ = backend.run_stage(stage, rows)
        batch = rows[0].batch
        states = batch.states
        assert states.attention_mask.sum(dim=1).tolist() == batch.lengths.tolist()
        assert states.hidden.shape[1] == batch.lengths.max()
    assert batch.lengths.tolist() == [2, 5, 3]
