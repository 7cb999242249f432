"""What a user writes behind an option, as what it means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

STUDENTS = ("auto", "static", "conv", "recurrent", "shallow")


def layers(written: str | None) -> tuple[int, ...] | str | None:
    """`--exits`: layer numbers, or a word."""
    if written in (None, "all", "auto"):
        return written
    try:
        return tuple(sorted({int(layer) for layer in str(written).split(",")}))
    except ValueError:
        raise typer.BadParameter(
            f"--exits {written}: write layer numbers, as in 2,3,4,6, or all, or auto"
        ) from None


def shares(written: str | None) -> tuple[float, ...] | str | None:
    """`--keep`: shares of the tokens, or a word."""
    if written in (None, "auto"):
        return written
    try:
        found = tuple(float(share) for share in str(written).split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < share <= 1 for share in found):
        raise typer.BadParameter(
            f"--keep {written}: write shares between 0 and 1, as in 0.8,0.6,0.5, or auto"
        )
    return found


def report(written: str | None, out: Path) -> Path | None:
    """`--report`: a file, beside the bundle unless another is named; None for no report."""
    if written == "none":
        return None
    if written:
        return Path(written)
    out = out if out.name else out.absolute()
    return out.with_name(f"{out.name}-report.html")


def renamed(pairs: Sequence[str]) -> dict[str, str]:
    """`--rename`: new names of labels by their old ones."""
    names = {}
    for pair in pairs:
        old, separator, new = pair.partition("=")
        if not (old and separator and new):
            raise typer.BadParameter(f"--rename {pair}: write OLD=NEW, as in 0=negative")
        names[old] = new
    return names


def shallow_only(small: str | None, **sizes: int | None) -> None:
    """Sizes of a shallow student are for one, or for `auto`, which may choose it."""
    given = [name for name, size in sizes.items() if size is not None]
    if given and small not in (None, "auto", "shallow"):
        options = " and ".join(f"--small-{name}" for name in given)
        raise typer.BadParameter(f"{options}: only for --small shallow (or auto), not {small}")


def small_tier(written: str | None) -> dict[str, str]:
    """`--small`: the settings that a kind of student, or a classifier's name, stands for."""
    if written is None:
        return {}
    return {"kind": written} if written in STUDENTS else {"classifier": written}
