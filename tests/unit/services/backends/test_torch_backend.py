"""Batches of hidden states: selecting, merging and going on give the logits of each row alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig, BertForSequenceClassification

from services.backends.torch_backend import TorchBackend
from services.backends.torch_rows import TorchRow, gather
from services.models import student_kinds
from services.models.sequence_classifier import SequenceClassifier
from services.models.student import StudentConfig
from tests.support import tiers
from tests.support.backends import all_exits, begin
from tests.support.reference import exit_probabilities

texts = st.lists(st.sampled_from(tiers.WORDS), min_size=1, max_size=30).map(" ".join)


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


@pytest.fixture(scope="module")
def in_bf16(network, backend):
    made = TorchBackend(network, backend._encoder, precision="bf16")
    made.prepare()
    return made


@settings(max_examples=20)
@given(st.lists(texts, min_size=1, max_size=6))
def test_in_bf16_rows_are_near_what_they_are_in_fp32_alone(in_bf16, backend, batch):
    # bf16 keeps 8 bits: a rounding of 1 part in 256 per operation, over four narrow layers.
    for row, text in enumerate(batch):
        whole = alone(backend, text)
        np.testing.assert_allclose(all_exits(in_bf16, batch)[:, row], whole, atol=0.25)


def test_bf16_is_computed_in_bf16_and_leaves_the_network_as_it_was(in_bf16, backend, network):
    batch = ["w1 w2 w3", "w4"]
    assert begin(in_bf16, batch)[0].batch.states.hidden.dtype is torch.bfloat16
    logits = all_exits(in_bf16, batch)
    assert logits.dtype == np.float32
    assert not np.allclose(logits, all_exits(backend, batch), atol=1e-5)
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert (in_bf16.name, in_bf16.precision) == ("torch-cpu-bf16", "bf16")


def make_small(kind):
    """A small tier's network with random weights: a student of a kind, or somebody's classifier."""
    torch.manual_seed(9)
    if kind == "classifier":
        sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
        config = BertConfig(vocab_size=64, num_hidden_layers=1, num_labels=3, **sizes)
        return SequenceClassifier(BertForSequenceClassification(config), (2, 0, 1)).eval()
    vocabulary = len(tiers.SPECIAL) + len(tiers.WORDS)
    sizes = StudentConfig(vocabulary, 3, kind, embedding=16, width=16)
    return student_kinds.make(sizes).eval()


@pytest.mark.parametrize("kind", [*student_kinds.STUDENTS, "classifier"])
def test_small_tiers_run_in_bf16_too(kind, backend):
    network = make_small(kind)
    plain, rounded = (
        TorchBackend(network, backend._encoder, precision=precision)
        for precision in ("fp32", "bf16")
    )
    plain.prepare()
    rounded.prepare()
    batch = ["w1 w2 w3", "w4", "w5 w6 w7 w8 w9"]
    np.testing.assert_allclose(all_exits(rounded, batch), all_exits(plain, batch), atol=0.1)
