"""What an error looks like on the command line: one sentence, and exit code 1."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

INTERRUPTED = 130


class SentenceGroup(TyperGroup):
    """Runs a verb; an error becomes its sentence on standard error (the trace with --debug)."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb. Usage errors and exits pass through as they are."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            leave_at_once(INTERRUPTED)
        except BrokenPipeError:
            leave_at_once(0)  # The reader has seen enough: `offramp classify … | head`.
        except Exception as error:
            # An exit or a usage error knows its own code, and how it wants to be shown.
            if hasattr(error, "exit_code") or (ctx.obj or {}).get("debug"):
                raise
            fail(sentence(error))
        raise typer.Exit(1)


def sentence(error: Exception) -> str:
    """What went wrong and what to do, without a trace."""
    from offramp.errors import OfframpError

    if isinstance(error, OfframpError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed; in a checkout of offramp: pip install -e '.[train]'"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return f"unexpected {type(error).__name__}: {error} (offramp --debug … shows where)"


def fail(message: str) -> None:
    """Print an error's sentence on standard error."""
    typer.secho("error: ", fg=typer.colors.RED, bold=True, nl=False, err=True)
    typer.echo(message, err=True)


def leave_at_once(code: int) -> None:
    """End the process without waiting for a thread that still reads from the terminal."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    os._exit(code)
