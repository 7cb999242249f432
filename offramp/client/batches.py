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
# What a router's refusal of a message names: the field with too many texts, the whole message.
INPUTS_FIELD = "inputs"
MESSAGE_FIELD = "(message)"
# What gRPC says of a message beyond its own limit, before the router sees it.
GRPC_TOO_LARGE = "message larger than max"

# The position of a text, and the text.
Entry = tuple[int, common_pb2.TextInput]


@dataclass(slots=True)
class Chunk:
    """Texts that travel in one message, and the positions their answers go to.

    refused: set where the router wants them in smaller messages.
    """

    entries: list[Entry] = field(default_factory=list)
    size: int = ENVELOPE_BYTES
    refused: bool = False

    @property
    def positions(self) -> list[int]:
        """Where the answers go."""
        return [position for position, _ in self.entries]

    @property
    def inputs(self) -> list[common_pb2.TextInput]:
        """The texts."""
        return [item for _, item in self.entries]

    def add(self, entry: Entry) -> None:
        """Take another text in."""
        self.entries.append(entry)
        self.size += _size(entry)


@dataclass(slots=True)
class Limits:
    """The largest message that a router is known to take, or is not known to refuse."""

    items: int = MAX_ITEMS
    size: int = MAX_BYTES

    def allow(self, chunk: Chunk, entry: Entry) -> bool:
        """Whether another text still has room; a text alone is always tried."""
        within = len(chunk.entries) < self.items and chunk.size + _size(entry) <= self.size
        return within or not chunk.entries

    def shrink(self, error: errors.OfframpError, chunk: Chunk) -> bool:
        """Halve what the refusal of a message names; False where a smaller one mends nothing."""
        if len(chunk.entries) < 2:
            return False
        fields = _fields(error)
        if fields == [INPUTS_FIELD]:
            self.items = min(self.items, len(chunk.entries) // 2)
        elif fields == [MESSAGE_FIELD] or GRPC_TOO_LARGE in str(error):
            self.size = min(self.size, chunk.size // 2)
        else:
            return False
        return True


def chunks(
    texts: Iterable[Text], answers: dict[int, Classification | ItemFailure], limits: Limits
) -> Iterator[Chunk]:
    """Texts in chunks within the limits; those of a refused chunk come again in smaller ones.

    A text that no message can carry gets its failure in `answers` and is not sent.
    """
    return _packed(_entries(texts, answers), limits)


def _entries(
    texts: Iterable[Text], answers: dict[int, Classification | ItemFailure]
) -> Iterator[Entry]:
    for position, text in enumerate(texts):
        try:
            yield position, checked_input(text)
        except errors.InvalidRequestError as error:
            answers[position] = ItemFailure(error)


def _packed(entries: Iterable[Entry], limits: Limits) -> Iterator[Chunk]:
    chunk = Chunk()
    for entry in entries:
        if not limits.allow(chunk, entry):
            yield from _until_taken(chunk, limits)
            chunk = Chunk()
        chunk.add(entry)
    if chunk.entries:
        yield from _until_taken(chunk, limits)


def _until_taken(chunk: Chunk, limits: Limits) -> Iterator[Chunk]:
    yield chunk
    if chunk.refused:
        yield from _packed(chunk.entries, limits)


def _size(entry: Entry) -> int:
    return entry[1].ByteSize() + ITEM_BYTES


def _fields(error: errors.OfframpError) -> list[str]:
    if not isinstance(error, errors.InvalidRequestError):
        return []
    return [violation.field for violation in error.violations]


def checked_input(text: Text, text_pair: str | None = None) -> common_pb2.TextInput:
    """A text as it travels; InvalidRequestError where no message can carry it."""
    item = text_to_proto(text, text_pair)
    size = item.ByteSize() + ITEM_BYTES
    if size > MAX_BYTES - ENVELOPE_BYTES:
        advice = f"is {size} bytes long, more than a message can carry; send a part of it"
        raise errors.InvalidRequestError([errors.Violation("text", advice)])
    return item
