"""Stages that are replayed by shape answer as the network does; the recorder alone needs a GPU."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.backends import shapes
from services.backends.torch_backend import TorchBackend
from tests.support import tiers
from tests.support.backends import all_exits, begin

texts = st.lists(st.sampled_from(tiers.WORDS), min_size=1, max_size=30).map(" ".join)


class Tape:
    """Records as a device does: what is replayed reads and writes the memory of the recording."""

    def __init__(self):
        self.recorded = 0

    def __call__(self, run):
        self.recorded += 1
        states, logits = run()

        def replay():
            again, answers = run()
            states.hidden.copy_(again.hidden)
            states.pooled.copy_(again.pooled)
            logits.copy_(answers)

        return replay, (states, logits)


def recorded_by(record, backend):
    made = TorchBackend(backend._network, backend._encoder, record=record)
    made.prepare()
    return made


@pytest.fixture(scope="module")
def tape():
    return Tape()


@pytest.fixture(scope="module")
def replayed(backend, tape):
    return recorded_by(tape, backend)


@settings(max_examples=30)
@given(st.lists(texts, min_size=1, max_size=9), st.lists(texts, min_size=1, max_size=6), st.data())
def test_replayed_rows_of_several_batches_go_on_as_if_alone(replayed, backend, first, second, data):
    pool = []
    for batch in (first, second):
        states, _ = replayed.run_stage(0, begin(replayed, batch))
        pool += zip(batch, states, strict=True)
    chosen = data.draw(st.permutations(pool))[: data.draw(st.integers(1, len(pool)))]
    states, logits = replayed.run_stage(1, [state for _, state in chosen])
    _, last = replayed.run_stage(2, states[::2])
    whole = [all_exits(backend, [text])[:, 0] for text, _ in chosen]
    np.testing.assert_allclose(logits, [exits[1] for exits in whole], atol=1e-4)
    np.testing.assert_allclose(last, [exits[2] for exits in whole[::2]], atol=1e-4)


def test_a_shape_is_recorded_once_per_stage(backend):
    tape = Tape()
    replayed = recorded_by(tape, backend)
    lengths = [(3, 5), (3, 6), (3, 7), (9, 12), (10, 10)]
    for rows, words in lengths:
        all_exits(replayed, [" ".join(tiers.WORDS[:words])] * rows)
    used = {shapes.next_up(n, words + 2, tiers.MAX_TOKENS) for n, words in lengths}
    assert tape.recorded == len(used) * backend.stages < len(lengths) * backend.stages


def test_what_a_replay_gave_is_not_overwritten_by_the_next_one(replayed):
    states, _ = replayed.run_stage(0, begin(replayed, ["w1 w2", "w3 w4"]))
    before = states[0].batch.by_token[0].clone()
    replayed.run_stage(0, begin(replayed, ["w5 w6", "w7 w8"]))
    assert (states[0].batch.by_token[0] == before).all()


def test_a_network_that_cannot_be_recorded_runs_as_it_is(backend, caplog):
    def refuse(run):
        raise RuntimeError("operation not permitted when stream is capturing")

    plain = recorded_by(refuse, backend)
    batch = ["w1 w2 w3", "w4"]
    np.testing.assert_allclose(all_exits(plain, batch), all_exits(backend, batch), atol=1e-4)
    assert caplog.text.count("cannot be recorded") == 1
