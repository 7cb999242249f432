"""Parquet files, through pyarrow; class names that the `datasets` library left in them count."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from training.data.errors import DataError
from training.data.table import Fault, Table, Values

BATCH_ROWS = 4096
INSTALL = "pip install -e '.[train]' in a checkout of offramp"


def open_parquet(path: Path) -> Table:
    """A Parquet file, read a few thousand rows at a time."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError:
        raise DataError(
            f"{path}: Parquet is read by pyarrow, which is not installed: {INSTALL}"
        ) from None

    def rows(names: Sequence[str]) -> Iterator[tuple[int, Values | Fault]]:
        place = 0
        with ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=list(dict.fromkeys(names))):
                columns = [batch.column(name).to_pylist() for name in names]
                for values in zip(*columns, strict=True):
                    place += 1
                    yield place, values

    try:
        with ParquetFile(path) as file:
            schema = file.schema_arrow
    except ArrowException as error:
        raise DataError(f"{path}: cannot be read as Parquet ({error})") from None
    return Table(str(path), "row", tuple(schema.names), rows, _classes(schema.metadata or {}))


def _classes(metadata: dict[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """Names of integer classes, by column, from what `datasets` writes beside the schema."""
    written: dict[str, Any] = json.loads(metadata.get(b"huggingface", b"{}"))
    features = written.get("info", {}).get("features", {})
    return {
        name: tuple(feature["names"])
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
    }
