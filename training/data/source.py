"""Where a table comes from: a file, known by its ending, or a dataset, known by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from training.data.delimited import open_csv, open_tsv
from training.data.errors import DataError
from training.data.hub import open_dataset
from training.data.json_lines import open_json_lines
from training.data.parquet import open_parquet
from training.data.table import Fault, Table, Values

READERS: dict[str, Callable[[Path], Table]] = {
    ".tsv": open_tsv,
    ".txt": open_tsv,
    ".csv": open_csv,
    ".jsonl": open_json_lines,
    ".ndjson": open_json_lines,
    ".json": open_json_lines,
    ".parquet": open_parquet,
}
KNOWN = ".tsv, .csv, .jsonl or .parquet"


def open_table(source: Path | str) -> Table:
    """Open a file or a dataset. Raises DataError where it cannot be read."""
    path = Path(source)
    if not path.is_file() and path.suffix.lower() not in READERS:
        return open_dataset(str(source))
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise DataError(f"{path}: unknown kind of file; use {KNOWN}")
    try:
        table = read(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError:
        raise not_utf8(path) from None
    if not table.columns:
        raise DataError(f"{path}: has no rows; the first line must name the columns")
    return table


def read_rows(table: Table, names: Sequence[str]) -> Iterator[tuple[int, Values | Fault]]:
    """The table's rows. Raises DataError where the file can be read no further."""
    try:
        yield from table.rows(names)
    except OSError as error:
        raise DataError(f"{table.title}: cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError:
        raise not_utf8(Path(table.title)) from None


def not_utf8(path: Path) -> DataError:
    """What to say of a file that is in another encoding: the first line that shows it."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                shown = f"line {number} holds byte {line[error.start]:#04x}"
                return DataError(f"{path}: is not UTF-8 ({shown}); save it as UTF-8")
    return DataError(f"{path}: is not UTF-8; save it as UTF-8")


def source_name(source: Path | str) -> str:
    """What to call a source where its folder does not matter: the name of the file or dataset.

    A dataset in a folder may be followed by its config and split.
    """
    path = Path(source)
    is_path = isinstance(source, Path) or path.is_absolute()
    return path.resolve().name if is_path or path.exists() else str(source)
