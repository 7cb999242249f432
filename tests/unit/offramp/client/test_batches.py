"""How many texts become few messages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from offramp import errors
from offramp.client.batches import MAX_BYTES, MAX_ITEMS, Limits, chunks
from offramp.v1 import router_pb2


@given(st.lists(st.text(max_size=20), max_size=40))
def test_every_text_travels_once_in_its_order(texts):
    failures: dict = {}
    sent = [
        (position, item.text)
        for chunk in chunks(texts, failures, Limits())
        for position, item in zip(chunk.positions, chunk.inputs, strict=True)
    ]
    expected = [(i, text) for i, text in enumerate(texts) if i not in failures]
    assert sent == expected


def test_messages_stay_within_both_limits():
    texts = ["é" * 3000] * 3000
    messages = [
        router_pb2.ClassifyBatchRequest(route="r" * 200, inputs=chunk.inputs)
        for chunk in chunks(texts, {}, Limits())
    ]
    assert sum(len(message.inputs) for message in messages) == 3000
    assert all(len(message.inputs) <= MAX_ITEMS for message in messages)
    assert all(message.ByteSize() <= MAX_BYTES for message in messages)
    assert len(messages) == 5


TOO_MANY = errors.InvalidRequestError([errors.Violation("inputs", "3 items, at most 2")])


@given(st.lists(st.text(max_size=20), max_size=40), st.integers(1, 40))
def test_texts_of_refused_messages_travel_in_smaller_ones_in_their_order(texts, accepted):
    limits, sent = Limits(), []
    for chunk in chunks(texts, {}, limits):
        if len(chunk.inputs) > accepted:
            chunk.refused = limits.shrink(TOO_MANY, chunk)
            assert chunk.refused
        else:
            sent += [(position, item.text) for position, item in chunk.entries]
    assert sent == list(enumerate(texts))


def test_a_message_of_one_text_cannot_be_smaller():
    (chunk,) = chunks(["a"], {}, limits := Limits())
    assert not limits.shrink(TOO_MANY, chunk)
