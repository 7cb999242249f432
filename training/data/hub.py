"""Datasets of the `datasets` library: `name`, `name:config`, `name@split`, or a folder of its own.

A name is looked up on the Hugging Face hub; a folder is one that `save_to_disk` wrote, or one of
data files that `load_dataset` understands. The split is `train` unless it is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.data.errors import DataError
from training.data.parquet import INSTALL
from training.data.table import Fault, Table, Values

BATCH_ROWS = 1000
DEFAULT_SPLIT = "train"


@dataclass(frozen=True, slots=True)
class Name:
    """A dataset's name, taken apart."""

    name: str
    config: str | None
    split: str


def parse(written: str) -> Name:
    """Take `name:config@split` apart; config and split may be left out."""
    rest, _, split = written.partition("@")
    name, _, config = rest.partition(":")
    return Name(name, config or None, split or DEFAULT_SPLIT)


def open_dataset(written: str) -> Table:
    """One split of a dataset. Raises DataError where it cannot be had."""
    try:
        import datasets
    except ModuleNotFoundError:
        raise DataError(
            f"{written}: is no file here, and for a dataset of that name the library "
            f"datasets is needed: {INSTALL}"
        ) from None
    wanted = parse(written)
    try:
        found = _load(datasets, wanted)
    # RuntimeError: a dataset that comes as a script.
    except (
        OSError,
        ValueError,
        KeyError,
        RuntimeError,
        datasets.exceptions.DatasetsError,
    ) as error:
        raise DataError(
            f"{written}: is no file here, and cannot be had as a dataset ({_sentence(error)}); "
            "write name, name:config, name@split, or the path of a file"
        ) from None
    classes = {
        column: tuple(feature.names)
        for column, feature in found.features.items()
        if isinstance(feature, datasets.ClassLabel)
    }
    return Table(written, "row", tuple(found.column_names), _rows(found), classes)


def _load(datasets: Any, wanted: Name) -> Any:
    folder = Path(wanted.name)
    written_whole = (folder / "dataset_dict.json").exists() or (folder / "state.json").exists()
    if not written_whole:
        return datasets.load_dataset(wanted.name, wanted.config, split=wanted.split)
    found = datasets.load_from_disk(wanted.name)
    return found[wanted.split] if isinstance(found, datasets.DatasetDict) else found


def _rows(found: Any) -> Callable[[Sequence[str]], Iterator[tuple[int, Values | Fault]]]:
    def rows(names: Sequence[str]) -> Iterator[tuple[int, Values | Fault]]:
        place = 0
        for batch in found.select_columns(list(names)).iter(BATCH_ROWS):
            for values in zip(*(batch[name] for name in names), strict=True):
                place += 1
                yield place, values

    return rows


def _sentence(error: Exception) -> str:
    """The first line of an error: the hub's own are long."""
    return str(error).strip().partition("\n")[0]
