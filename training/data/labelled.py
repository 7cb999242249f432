"""Labelled texts from a table: every row checked, every fault gathered, identical texts as one."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data.columns import Columns, find_label, find_texts
from training.data.errors import DataError, Faults
from training.data.source import open_table, read_rows
from training.data.table import Fault, Table
from training.data.texts import LabelledTexts, Text

MEND = "remove the row or fill it in"
# More labels than this, with hardly two texts to each, are no classes: the column is another one.
MANY_LABELS = 20
WHOLE_NUMBER = re.compile(r"-?\d{1,18}")
NAMED = 10


@dataclass(frozen=True, slots=True)
class Example:
    """One row: where it stands, its text and its label."""

    place: int
    text: Text
    label: str


def read_labelled(
    source: Path | str,
    columns: Columns | None = None,
    rename: Mapping[str, str] | None = None,
    label_names: Sequence[str] | None = None,
) -> LabelledTexts:
    """Read a file or dataset of labelled texts; identical texts become one.

    rename: what to call labels of the file.
    label_names: the labels and their order. Without it they are those that occur, in the order of
        the dataset's own class names, else sorted.
    Raises DataError for missing columns, empty texts or labels, unknown labels, or fewer than two.
    """
    columns, rename = columns or Columns(), rename or {}
    table = open_table(source)
    label = find_label(table.title, table.columns, columns)
    examples = list(_examples(table, label, columns, rename))
    if not examples:
        raise DataError(f"{table.title}: has no rows; the first line must name the columns")
    if label_names is None:
        classes = [rename.get(name, name) for name in table.classes.get(label, ())]
        names = _names(table.title, examples, classes)
        _check_renamed(table.title, rename, names)
    else:
        names = tuple(label_names)
        _check_known(table, examples, names)
    return _distinct(examples, names)


def _examples(
    table: Table, label: str, columns: Columns, rename: Mapping[str, str]
) -> Iterator[Example]:
    """The rows, if every one of them is sound."""
    text, pair = find_texts(table.title, table.columns, columns)
    names = (label, text) if pair is None else (label, text, pair)
    classes = table.classes.get(label)
    faults = Faults(table.title, table.unit)
    for place, values in read_rows(table, names):
        if isinstance(values, Fault):
            faults.add(place, values.message)
            continue
        found = [_label(values[0], classes), *map(_text, values[1:])]
        wrong = [part.message for part in found if isinstance(part, Fault)]
        for message in wrong:
            faults.add(place, message)
        if not wrong:
            written, first, *second = map(str, found)
            yield Example(place, Text(first, *second), rename.get(written, written))
    faults.check()


def _text(value: object) -> str | Fault:
    if value is None or (isinstance(value, str) and not value.strip()):
        return Fault(f"the text is empty; {MEND}")
    if not isinstance(value, str):
        kind = type(value).__name__
        return Fault(f"the text is no text ({kind}); name its column with --text-column")
    return value


def _label(value: object, classes: Sequence[str] | None) -> str | Fault:
    """The name of a label, whatever it is written as; classes: names of integers."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and (math.isnan(value) or value.is_integer()):
        # A column of whole numbers with gaps comes as floats, the gaps as "not a number".
        value = None if math.isnan(value) else int(value)
    if isinstance(value, int) and classes is not None:
        # -1 is how datasets writes that a label is not known.
        value = classes[value] if 0 <= value < len(classes) else None
    if value is None or not str(value).strip():
        return Fault(f"the label is empty; {MEND}")
    if not isinstance(value, str | int):
        kind = type(value).__name__
        return Fault(f"the label is neither a name nor a whole number ({kind}); one is needed")
    return str(value).strip()


def _names(title: str, examples: Sequence[Example], classes: Sequence[str]) -> tuple[str, ...]:
    """The labels that occur, in order."""
    found = {example.label for example in examples}
    if len(found) < 2:
        raise DataError(f"{title}: needs at least two labels to learn, it has {sorted(found)}")
    if len(found) > MANY_LABELS and 2 * len(found) > len(examples):
        raise DataError(
            f"{title}: {len(found):,} labels for {len(examples):,} rows are no classes; "
            "name the column of the label with --label-column"
        )
    if found <= set(classes):
        return tuple(name for name in dict.fromkeys(classes) if name in found)
    if all(map(WHOLE_NUMBER.fullmatch, found)):
        return tuple(sorted(found, key=int))
    return tuple(sorted(found))


def _check_renamed(title: str, rename: Mapping[str, str], names: Sequence[str]) -> None:
    idle = [f"{old}={new}" for old, new in rename.items() if new not in names]
    if idle:
        raise DataError(
            f"{title}: --rename {', '.join(idle)} names no label of the data; "
            f"its labels are {listed(names)}"
        )


def _check_known(table: Table, examples: Sequence[Example], names: Sequence[str]) -> None:
    faults = Faults(table.title, table.unit)
    known = set(names)
    for example in examples:
        if example.label not in known:
            faults.add(example.place, _unknown(example.label, names))
    faults.check()


def _unknown(label: str, names: Sequence[str]) -> str:
    return f"label {label!r} is not one of {listed(names)}; remove the row, or use --rename"


def _distinct(examples: Sequence[Example], names: tuple[str, ...]) -> LabelledTexts:
    index = {name: place for place, name in enumerate(names)}
    counts: dict[Text, Counter[int]] = {}
    for example in examples:
        counts.setdefault(example.text, Counter())[index[example.label]] += 1
    targets = np.zeros((len(counts), len(names)), dtype=np.float32)
    for row, per_label in enumerate(counts.values()):
        for place, count in per_label.items():
            targets[row, place] = count
    repeats = targets.sum(axis=1)
    targets /= repeats[:, None]
    return LabelledTexts(tuple(counts), targets, names, repeats=repeats.astype(np.int64))


def listed(names: Sequence[str]) -> str:
    """Names in a sentence, not more than a reader takes in."""
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(repr(name) for name in names[:NAMED]) + more
