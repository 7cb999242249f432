"""How a benchmark ends: tables for people, a Markdown and a JSON file, and one line of JSON.

A benchmark takes hours for all data sets and its figures are comparable within a set only, so a
run replaces in the files what it ran and leaves the other sets as they are; each says where and
when it was measured.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table as RichTable

import offramp
from offramp.errors import OfframpError

PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "scipy", "scikit-learn")
CPU_INFO = Path("/proc/cpuinfo")
WIDTH = 200


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under columns; shown in the terminal and in Markdown alike."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """What a run found on one data set.

    figures: for JSON; what stands under `curves` is written to the file but not printed, and
        `seed`, or `seeds` with one of each run, is shown.
    tables: of the set alone; those of several sets under the same title are shown as one.
    """

    figures: Mapping[str, Any]
    tables: Sequence[Table]


def machine() -> dict[str, Any]:
    """What the figures were measured on, and with which versions."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "torch_threads": torch.get_num_threads(),
        "system": platform.system(),
        "python": platform.python_version(),
        "offramp": offramp.__version__,
        **{name: version(name) for name in PACKAGES},
    }


def _cpu_model() -> str:
    if CPU_INFO.is_file():
        for line in CPU_INFO.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def write(
    name: str, about: str, parts: Mapping[str, Part], out: Path, heading: str = ""
) -> dict[str, Any]:
    """Put the parts into out/name.json and out/name.md; return what the JSON file holds then.

    heading: of the page; bench.name where none is given.
    """
    made = {"made": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine()}
    sets = _written(out / f"{name}.json") | {
        title: {**made, **part.figures, "tables": [asdict(table) for table in part.tables]}
        for title, part in parts.items()
    }
    out.mkdir(parents=True, exist_ok=True)
    record = {"sets": sets}
    (out / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (out / f"{name}.md").write_text(
        _markdown(heading or f"bench.{name}", about, sets), encoding="utf-8"
    )
    return record


def publish(
    name: str, about: str, parts: Mapping[str, Part], out: Path, heading: str = ""
) -> dict[str, Any]:
    """Write the files, show the tables of this run, and print its last line."""
    record = write(name, about, parts, out, heading)
    console = Console(width=None if Console().is_terminal else WIDTH)
    for table in joined([table for part in parts.values() for table in part.tables]):
        _show(table, console)
    print(json.dumps({"sets": {key: _brief(record["sets"][key]) for key in parts}}))
    return record


def joined(tables: Sequence[Table]) -> list[Table]:
    """Tables of the same title and columns made one, where the first of them stands.

    Sets that were not measured alike have notes that differ: all of them stay, each with the names
    of its sets, which begin their rows.
    """
    rows: dict[tuple[str, tuple[str, ...]], list[Sequence[str]]] = {}
    notes: dict[tuple[str, tuple[str, ...]], dict[str, dict[str, None]]] = {}
    for table in tables:
        key = table.title, tuple(table.columns)
        rows.setdefault(key, []).extend(table.rows)
        of = notes.setdefault(key, {}).setdefault(table.note, {})
        of.update(dict.fromkeys(row[0] for row in table.rows))
    return [Table(*key, found, _notes(notes[key])) for key, found in rows.items()]


def _notes(sets_of: Mapping[str, Iterable[str]]) -> str:
    """Notes as one; where there are several, each behind the names of its sets."""
    if len(sets_of) == 1:
        return next(iter(sets_of))
    said = [f"{', '.join(sets)}: {note}" for note, sets in sets_of.items() if note]
    return "\n\n".join(said)


def _written(path: Path) -> dict[str, Any]:
    """The sets of a file that earlier runs wrote."""
    if not path.is_file():
        return {}
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["sets"]
        for figures in found.values():
            _ = figures["tables"], figures["machine"], figures["made"]
    except (ValueError, KeyError, TypeError) as error:
        raise OfframpError(
            f"{path} is not what this benchmark writes ({error!r}); move it away or name another "
            "folder with --out"
        ) from None
    return found


def _brief(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in figures.items() if key not in ("curves", "tables")}


def _show(table: Table, console: Console) -> None:
    shown = RichTable(*table.columns, title=table.title, title_justify="left", caption=table.note)
    for row in table.rows:
        shown.add_row(*row)
    console.print(shown)


def _markdown(heading: str, about: str, sets: Mapping[str, Any]) -> str:
    tables = joined([Table(**table) for found in sets.values() for table in found["tables"]])
    made = Table(
        "Where and when",
        ["set", "seeds", "made", "processor", "cores", "threads", "python", *PACKAGES],
        [_made(name, found) for name, found in sets.items()],
    )
    return "\n".join([f"# {heading}\n\n{about}", *map(_markdown_table, [*tables, made])])


def _made(name: str, found: Mapping[str, Any]) -> list[str]:
    on = found["machine"]
    where = [on[key] for key in ("cpu", "cores", "torch_threads", "python", *PACKAGES)]
    return [name, _seeds(found), found["made"], *map(str, where)]


def _seeds(found: Mapping[str, Any]) -> str:
    """Of a set: one for all of it, or one per run."""
    seeds = found.get("seeds", [found["seed"]] if "seed" in found else [])
    return ", ".join(str(one["seed"] if isinstance(one, dict) else one) for one in seeds) or "–"


def _markdown_table(table: Table) -> str:
    lines = [
        f"## {table.title}\n",
        _markdown_row(table.columns),
        _markdown_row(["---"] * len(table.columns)),
        *map(_markdown_row, table.rows),
    ]
    note = f"\n{table.note}\n" if table.note else ""
    return "\n".join(lines) + "\n" + note


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
