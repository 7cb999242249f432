"""`offramp classify`: texts in, labels out, and which exit answered each."""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import texts as sources
from cli.options import DEFAULT_ADDRESS, Address, CertificateAuthority, Route, connect

if TYPE_CHECKING:
    from cli.answers import Tally
    from cli.streaming import Answers


class Output(StrEnum):
    """How answers are written."""

    TABLE = "table"
    JSONL = "jsonl"


def classify(
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TEXT]…", help="Texts to classify; `-` reads lines from stdin."),
    ] = None,
    *,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            exists=True,
            dir_okay=False,
            help="Texts from a file: a text per line, or a column of a .tsv, .csv or .jsonl file.",
        ),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(
            help="The file's text column (`text`, `sentence`, … are found by themselves)."
        ),
    ] = None,
    pair_column: Annotated[
        str | None, typer.Option(help="The file's column with the second text of a pair.")
    ] = None,
    pair: Annotated[
        str | None, typer.Option(help="The second text, where the route classifies pairs.")
    ] = None,
    output: Annotated[
        Output, typer.Option("--output", "-o", help="A table for people, JSON lines for programs.")
    ] = Output.TABLE,
    min_confidence: Annotated[
        float | None, typer.Option(help="Be at least this sure before leaving early (0 to 1).")
    ] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(
            help="Run no exit that costs more; 1 is full depth. Voids a policy's guarantee."
        ),
    ] = None,
    last_exit: Annotated[
        str | None,
        typer.Option(
            help="The deepest exit to run, for example `large@4`. Voids a policy's guarantee."
        ),
    ] = None,
    full_depth: Annotated[
        bool, typer.Option("--full-depth", help="Straight to the last exit: the reference answer.")
    ] = False,
    route: Route = "",
    address: Address = DEFAULT_ADDRESS,
    ca: CertificateAuthority = None,
) -> None:
    """Classify texts, and show which exit answered each and what it saved.

    Exit code 0: all answered. 1: some failed. 2: the command line is wrong.

    Examples:

    - `offramp classify "a gorgeous film" "dull and far too long"`

    - `offramp classify --file reviews.tsv --column sentence -o jsonl > answers.jsonl`

    - `tail -f chat.log | offramp classify - -o jsonl`
    """
    source = _source(texts or [], file, column, pair_column, pair)
    from cli.answers import Tally
    from cli.streaming import answered
    from offramp.client import Override

    override = Override(min_confidence, max_cost, last_exit, full_depth)
    tally, started = Tally(), time.perf_counter()
    with connect(address, route, ca) as client:
        write = _write_table if output is Output.TABLE else _write_lines
        # Lines that scroll by, or are typed, on the same screen are progress enough.
        typed = source.total is None and sys.stdin.isatty()
        bar = not typed and (output is Output.TABLE or not sys.stdout.isatty())
        write(answered(client, source, override, bar=bar), tally)
    typer.echo(tally.sentence(time.perf_counter() - started), err=output is Output.JSONL)
    if tally.failed:
        raise typer.Exit(1)


def _source(
    texts: list[str],
    file: Path | None,
    column: str | None,
    pair_column: str | None,
    pair: str | None,
) -> sources.Source:
    if file is not None:
        if texts or pair:
            raise typer.BadParameter("give texts or --file, not both")
        return sources.from_file(file, column, pair_column)
    if column or pair_column:
        raise typer.BadParameter("--column and --pair-column go with --file")
    if texts == [sources.STDIN] or (not texts and not sys.stdin.isatty()):
        return sources.from_stdin()
    if not texts:
        raise typer.BadParameter("nothing to classify; give a text, --file FILE, or - for stdin")
    return sources.from_arguments(texts, pair)


def _write_table(answers: Answers, tally: Tally) -> None:
    from rich.console import Console

    from cli.answers import failure_line, row, table
    from offramp.client import ItemFailure

    made, failures = table(), []
    for text, result in answers:
        tally.add(result)
        if isinstance(result, ItemFailure):
            failures.append(failure_line(text, result))
        else:
            made.add_row(*row(text, result))
    if made.rows:
        Console().print(made)
    for line in failures:
        typer.echo(line, err=True)


def _write_lines(answers: Answers, tally: Tally) -> None:
    from cli.answers import json_line

    for text, result in answers:
        tally.add(result)
        print(json_line(text, result), flush=True)
