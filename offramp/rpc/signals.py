"""Signals that reach a process before it serves."""

from __future__ import annotations

import os
import signal


def leave_until_ready() -> None:
    """Let SIGTERM and SIGINT end the process at once, with code 0, until others handle them.

    Nothing is served yet, so nothing is drained, and no thread that still compiles or measures is
    waited for. Call it first: a container's first process without a handler is sent them in vain.
    """
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, _leave)


def _leave(*_: object) -> None:
    # Not logged: what was interrupted may hold the log.
    os.write(2, b"stopped before it was ready\n")
    os._exit(0)
