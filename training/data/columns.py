"""Which column holds the label, the text and the second text: named, or found by usual names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.data.errors import DataError

LABEL_COLUMNS = ("label", "class", "target", "category", "intent")
TEXT_COLUMNS = ("text", "sentence", "content", "review", "question", "utterance")
# A pair is found only where both its columns are there.
PAIRS = (
    ("text", "text_pair"),
    ("text_a", "text_b"),
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question", "passage"),
    ("question", "sentence"),
    ("question1", "question2"),
)
LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns hold what; a name left out is found by its usual names."""

    label: str | None = None
    text: str | None = None
    pair: str | None = None


def find_label(title: str, found: Sequence[str], columns: Columns) -> str:
    """The column of the label. Raises DataError, naming the columns found."""
    return _find(title, found, columns.label, LABEL_COLUMNS, "label")


def find_texts(title: str, found: Sequence[str], columns: Columns) -> tuple[str, str | None]:
    """The column of the text, and that of the second text where texts come in pairs.

    Where the text's column is named, it is a pair's only if the second one is named too.
    Raises DataError, naming the columns found.
    """
    if columns.pair is not None:
        first = [pair[0] for pair in PAIRS] + list(TEXT_COLUMNS)
        text = _find(title, found, columns.text, first, "text")
        return text, _find(title, found, columns.pair, (), "pair")
    if columns.text is None:
        for names in PAIRS:
            pair = [_named(found, name) for name in names]
            if pair[0] is not None and pair[1] is not None:
                return _only(title, found, pair[0]), _only(title, found, pair[1])
    return _find(title, found, columns.text, TEXT_COLUMNS, "text"), None


def _find(
    title: str, found: Sequence[str], asked: str | None, usual: Sequence[str], role: str
) -> str:
    for name in (asked,) if asked else usual:
        column = _named(found, name)
        if column is not None:
            return _only(title, found, column)
    wanted = repr(asked) if asked else " or ".join(repr(name) for name in usual)
    there = ", ".join(repr(_short(name)) for name in found)
    raise DataError(
        f"{title}: no {role} column {wanted}; the columns are {there}; "
        f"name one with --{role}-column"
    )


def _named(found: Sequence[str], name: str) -> str | None:
    """The column of that name, else one that differs only in upper and lower case."""
    if name in found:
        return name
    return next((column for column in found if column.lower() == name.lower()), None)


def _only(title: str, found: Sequence[str], column: str) -> str:
    """The column, where no other one has its name."""
    if list(found).count(column) > 1:
        raise DataError(
            f"{title}: {found.count(column)} columns are called {column!r}; rename all but one"
        )
    return column


def _short(name: str) -> str:
    """A name as far as it reads as one: a file without a header has whole texts for names."""
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
