"""How a benchmark ends: tables for people, a Markdown and a JSON file, and one line of JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table as RichTable

import offramp

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
    name: str, about: str, figures: Mapping[str, Any], tables: Sequence[Table], out: Path
) -> dict[str, Any]:
    """Write out/name.json and out/name.md; return what the JSON file holds."""
    made = datetime.now(UTC).isoformat(timespec="seconds")
    record = {"made": made, "machine": machine(), **figures}
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (out / f"{name}.md").write_text(_markdown(name, about, record, tables), encoding="utf-8")
    return record


def publish(
    name: str, about: str, figures: Mapping[str, Any], tables: Sequence[Table], out: Path
) -> None:
    """Write the files, show the tables, and print the last line.

    figures: for JSON; what stands under `curves` is written to the file but not printed.
    """
    record = write(name, about, figures, tables, out)
    console = Console(width=None if Console().is_terminal else WIDTH)
    for table in tables:
        _show(table, console)
    print(json.dumps({key: value for key, value in record.items() if key != "curves"}))


def _show(table: Table, console: Console) -> None:
    shown = RichTable(*table.columns, title=table.title, title_justify="left", caption=table.note)
    for row in table.rows:
        shown.add_row(*row)
    console.print(shown)


def _markdown(name: str, about: str, record: Mapping[str, Any], tables: Sequence[Table]) -> str:
    made_on = record["machine"]
    versions = ", ".join(f"{key} {made_on[key]}" for key in ("python", "offramp", *PACKAGES))
    head = f"""# bench.{name}

{about}

Made {record["made"]} on {made_on["cpu"]}, {made_on["cores"]} cores, with {versions}.
"""
    return "\n".join([head, *map(_markdown_table, tables)])


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
