"""The page: sections of pictures, tables and examples, rendered into one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from offramp import __version__
from training.report.drawing import Chart
from training.report.palette import exit_variables


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table that says more than its text.

    note: a second, smaller line.  shade: how strongly it is coloured, 0..1; None: not at all.
    refused: shown as something that cannot be had.
    """

    text: str
    note: str = ""
    shade: float | None = None
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns; the first cell of each row is its heading.

    left: columns, beside the first, that hold words and not numbers.
    folded: shown only when asked for, as the numbers of a picture are.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    left: frozenset[int] = frozenset()
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What one exit said of an example.

    state: "passed" (not sure enough), "left" (answered here) or "beyond" (never asked).
    """

    exit: str
    index: int
    answer: str
    confidence: float
    state: str
    right: bool


@dataclass(frozen=True, slots=True)
class Example:
    """A text, its label, and what every exit said of it."""

    text: str
    pair: str | None
    label: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Examples:
    """Examples of one kind. rule: how they were picked."""

    title: str
    rule: str
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence that must not be overlooked."""

    text: str


Block = Chart | Table | Examples | Note


@dataclass(frozen=True, slots=True)
class Section:
    """A question that the page answers. lead: what to see here, in a sentence or two."""

    anchor: str
    title: str
    lead: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Tile:
    """A headline figure."""

    value: str
    name: str
    note: str


@dataclass(frozen=True, slots=True)
class Page:
    """All that is on the page. exits: how many the cascade has."""

    name: str
    summary: str
    notes: tuple[Note, ...]
    tiles: tuple[Tile, ...]
    sections: tuple[Section, ...]
    exits: int


def render(page: Page) -> str:
    """The page as one HTML text that needs nothing beside it; every text on it is escaped."""
    template = _environment().get_template("page.html")
    return template.render(
        page=page,
        exit_variables=exit_variables(page.exits),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("training.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["chart"] = lambda block: isinstance(block, Chart)
    environment.tests["table"] = lambda block: isinstance(block, Table)
    environment.tests["examples"] = lambda block: isinstance(block, Examples)
    return environment
