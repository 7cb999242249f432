"""Stages that are replayed by shape answer as the network does; the recorder alone needs a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from services.backends import recorded, shapes
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


def test_rows_that_filled_a_batch_up_do_not_go_on_with_another(replayed, backend):
    batches = [f"w{number} w1" for number in range(9)], ["w20 w21 w22"]
    states = [replayed.run_stage(0, begin(replayed, batch))[0] for batch in batches]
    assert len(states[0][0].batch.states.hidden) > len(batches[0])
    _, logits = replayed.run_stage(1, [*states[0], *states[1]])
    wanted = np.concatenate([all_exits(backend, batch)[1] for batch in batches])
    np.testing.assert_allclose(logits, wanted, atol=1e-4)


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
    before = states[0].batch.states.hidden.clone()
    replayed.run_stage(0, begin(replayed, ["w5 w6", "w7 w8"]))
    assert (states[0].batch.states.hidden == before).all()


def test_a_network_that_cannot_be_recorded_runs_as_it_is(backend, caplog):
    def refuse(run):
        raise RuntimeError("operation not permitted when stream is capturing")

    plain = recorded_by(refuse, backend)
    batch = ["w1 w2 w3", "w4"]
    np.testing.assert_allclose(all_exits(plain, batch), all_exits(backend, batch), atol=1e-4)
    assert caplog.text.count("cannot be recorded") == 1


def texts_of(words, rows=2):
    return [" ".join(tiers.WORDS[:words])] * rows


def bytes_held(replayed):
    return sum(recording.bytes for recording in replayed._recorded._recordings.values())


def test_what_was_not_used_for_longest_is_dropped_first(backend, monkeypatch):
    room = 0
    for words in (3, 20):
        alone = recorded_by(Tape(), backend)
        all_exits(alone, texts_of(words))
        room += bytes_held(alone)
    monkeypatch.setattr(recorded, "MOST_BYTES", room)
    tape = Tape()
    replayed = recorded_by(tape, backend)
    for words in (3, 7, 3, 20):
        all_exits(replayed, texts_of(words))
    assert tape.recorded == 3 * backend.stages
    for words in (3, 20):
        all_exits(replayed, texts_of(words))
    assert tape.recorded == 3 * backend.stages
    assert bytes_held(replayed) == room
    all_exits(replayed, texts_of(7))
    assert tape.recorded == 4 * backend.stages


@settings(max_examples=20)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=12), st.integers(1, 400_000))
def test_whatever_may_be_kept_answers_stay_right(backend, lengths, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorded, "MOST_BYTES", most)
        replayed = recorded_by(Tape(), backend)
    for words in lengths:
        found = all_exits(replayed, texts_of(words))
        np.testing.assert_allclose(found, all_exits(backend, texts_of(words)), atol=1e-4)
        assert len(replayed._recorded._recordings) == 1 or bytes_held(replayed) <= most


def test_out_of_memory_drops_the_recordings_and_answers_all_the_same(backend, caplog):
    tape = Tape()
    full = False

    def record(run):
        if full:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return tape(run)

    replayed = recorded_by(record, backend)
    all_exits(replayed, texts_of(3))
    full = True
    found = all_exits(replayed, texts_of(7))
    np.testing.assert_allclose(found, all_exits(backend, texts_of(7)), atol=1e-4)
    assert not replayed._recorded._recordings
    assert "out of memory" in caplog.text
    full = False
    before = tape.recorded
    all_exits(replayed, texts_of(7))
    assert tape.recorded == before + backend.stages
