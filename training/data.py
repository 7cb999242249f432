"""Labelled files: rows of a label and a text (or a pair of texts), read strictly."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.errors import OfframpError

LABEL_COLUMNS = ("label", "class", "target")
TEXT_COLUMNS = ("text", "sentence", "text_a", "question", "premise", "sentence1")
PAIR_COLUMNS = ("text_pair", "text_b", "passage", "hypothesis", "sentence2")


class DataError(OfframpError):
    """A data file that cannot be trained on; the message names file, row or column, and remedy."""


@dataclass(frozen=True, slots=True)
class Text:
    """A single text, or a pair."""

    text: str
    pair: str | None = None


@dataclass(frozen=True, slots=True)
class LabelledTexts:
    """N distinct texts with their label distributions.

    targets: (N, C); a row is one-hot unless the file gives the same text several labels.
    """

    texts: tuple[Text, ...]
    targets: NDArray[np.float32]
    label_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def pairs(self) -> bool:
        """Whether the texts are pairs."""
        return self.texts[0].pair is not None

    @property
    def labels(self) -> NDArray[np.int64]:
        """The most frequent label of each text (N,)."""
        most: NDArray[np.int64] = self.targets.argmax(axis=1).astype(np.int64)
        return most

    def subset(self, indices: Sequence[int] | NDArray[np.integer]) -> LabelledTexts:
        """The texts at `indices`, in that order."""
        chosen = tuple(self.texts[i] for i in indices)
        return LabelledTexts(chosen, self.targets[np.asarray(indices, dtype=int)], self.label_names)


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns hold what; a name left out is found by its usual names."""

    label: str | None = None
    text: str | None = None
    pair: str | None = None


def read_labelled(
    path: Path,
    columns: Columns | None = None,
    rename: Mapping[str, str] | None = None,
    label_names: Sequence[str] | None = None,
) -> LabelledTexts:
    """Read a .tsv, .csv or .jsonl file with a header; identical texts become one.

    rename: what to call labels of the file.
    label_names: the labels and their order; without it they are those of the file, sorted.
    Raises DataError for missing columns, empty texts or labels, or fewer than two labels.
    """
    counts: dict[Text, dict[str, int]] = {}
    for text, label in _labelled_rows(path, columns or Columns()):
        per_label = counts.setdefault(text, {})
        name = (rename or {}).get(label, label)
        per_label[name] = per_label.get(name, 0) + 1
    names = tuple(label_names or sorted({name for c in counts.values() for name in c}))
    if len(names) < 2:
        raise DataError(f"{path}: needs at least two labels to learn, it has {list(names)}")
    index = {name: i for i, name in enumerate(names)}
    targets = np.zeros((len(counts), len(names)), dtype=np.float32)
    for row, per_label in enumerate(counts.values()):
        for name, count in per_label.items():
            if name not in index:
                raise DataError(f"{path}: label {name!r} is not one of {list(names)}")
            targets[row, index[name]] = count
    return LabelledTexts(tuple(counts), targets / targets.sum(axis=1, keepdims=True), names)


def _labelled_rows(path: Path, columns: Columns) -> Iterator[tuple[Text, str]]:
    chosen: tuple[str, str, str | None] | None = None
    for number, row in enumerate(_rows(path), start=2):
        if chosen is None:
            chosen = _choose_columns(path, list(row), columns)
        label, text, pair = (row.get(name) if name else None for name in chosen)
        if not str(text or "").strip() or (chosen[2] and not str(pair or "").strip()):
            raise DataError(f"{path}:{number}: the text is empty; remove the row or fill it in")
        if label is None or not str(label).strip():
            raise DataError(f"{path}:{number}: the label is empty; remove the row or fill it in")
        yield Text(str(text), str(pair) if chosen[2] else None), str(label).strip()
    if chosen is None:
        raise DataError(f"{path}: has no rows; the first line must name the columns")


def _rows(path: Path) -> Iterator[Mapping[str, object]]:
    suffix = path.suffix.lower()
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            if suffix in (".jsonl", ".ndjson"):
                yield from (json.loads(line) for line in stream if line.strip())
            elif suffix == ".csv":
                yield from csv.DictReader(stream)
            elif suffix in (".tsv", ".txt"):
                yield from csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
            else:
                raise DataError(f"{path}: unknown kind of file; use .tsv, .csv or .jsonl")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None


def _choose_columns(path: Path, found: list[str], columns: Columns) -> tuple[str, str, str | None]:
    label = _choose(path, found, columns.label, LABEL_COLUMNS, "label")
    text = _choose(path, found, columns.text, TEXT_COLUMNS, "text")
    if columns.pair is not None:
        return label, text, _choose(path, found, columns.pair, (), "pair")
    return label, text, next((name for name in PAIR_COLUMNS if name in found), None)


def _choose(
    path: Path, found: list[str], asked: str | None, usual: Sequence[str], role: str
) -> str:
    wanted = (asked,) if asked else usual
    for name in wanted:
        if name in found:
            return name
    raise DataError(
        f"{path}: no {role} column {' or '.join(repr(n) for n in wanted)}; "
        f"the columns are {found}; name one with --{role}-column"
    )
