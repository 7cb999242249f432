"""Many texts in few messages: chunks that a router accepts, answers in the order of the texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from offramp import errors
from offramp.client.results import Classification, ItemFailure, Text
from offramp.client.wire import text_to_proto
from offramp.v1 import common_pb2

MAX_ITEMS = 1024
MAX_BYTES = 4 * 1024 * 1024
# Room in a message for the route, the override and the length in front of each text.
ENVELOPE_BYTES = 4096
ITEM_BYTES = 8


@dataclass(slots=True)
class Chunk:
    """Texts that travel in one message, and the positions their answers go to."""

    positions: list[int] = field(default_factory=list)
    inputs: list[common_pb2.TextInput] = field(default_factory=list)
    size: int = ENVELOPE_BYTES

    def fits(self, size: int) -> bool:
        """Whether another text of `size` bytes still has room."""
        return len(self.inputs) < MAX_ITEMS and self.size + size <= MAX_BYTES

    def add(self, position: int, item: common_pb2.TextInput, size: int) -> None:
        """Take another text in."""
        self.positions.append(position)
        self.inputs.append(item)
        self.size += size


def chunks(
    texts: Iterable[Text], answers: dict[int, Classification | ItemFailure]
) -> Iterator[Chunk]:
    """Texts in chunks of at most 1024 and 4 MB.

    A text that no message can carry gets its failure in `answers` and is not sent.
    """
    chunk = Chunk()
    for position, text in enumerate(texts):
        try:
            item = checked_input(text)
        except errors.InvalidRequestError as error:
            answers[position] = ItemFailure(error)
            continue
        size = item.ByteSize() + ITEM_BYTES
        if not chunk.fits(size):
            yield chunk
            chunk = Chunk()
        chunk.add(position, item, size)
    if chunk.inputs:
        yield chunk


def checked_input(text: Text, text_pair: str | None = None) -> common_pb2.TextInput:
    """A text as it travels; InvalidRequestError where no message can carry it."""
    item = text_to_proto(text, text_pair)
    size = item.ByteSize() + ITEM_BYTES
    if size > MAX_BYTES - ENVELOPE_BYTES:
        advice = f"is {size} bytes long, more than a message can carry; send a part of it"
        raise errors.InvalidRequestError([errors.Violation("text", advice)])
    return item
