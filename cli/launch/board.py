"""What the terminal shows while services come up: a live table, or lines in a log."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from offramp.process.ready import Ready
from offramp.rpc.addresses import is_unix


@dataclass(slots=True)
class _Service:
    began: float
    ready: Ready | None = None
    seconds: float = 0.0


class Board:
    """The state of each service; live between `with` and its end, lines of text afterwards."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._services: dict[str, _Service] = {}
        self._live = (
            Live(self, console=console, refresh_per_second=8) if console.is_terminal else None
        )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def starting(self, name: str) -> None:
        """A process was started."""
        self._services[name] = _Service(time.monotonic())

    def ready(self, name: str, ready: Ready, seconds: float) -> None:
        """A service said that it is ready, so many seconds after its start."""
        service = self._services[name]
        service.ready, service.seconds = ready, seconds
        if not self._live:
            self.note(f"{name} is ready{_at(ready)} ({seconds:.1f} s)")

    def note(self, text: str) -> None:
        """Print something that is to stay."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table(box=None, pad_edge=False, show_header=False)
        for name, service in self._services.items():
            if service.ready is None:
                waited = f"starting, {time.monotonic() - service.began:.0f} s"
                table.add_row(Spinner("dots", style="yellow"), name, waited, "")
            else:
                took = f"ready in {service.seconds:.1f} s"
                table.add_row(Text("✓", "green"), name, took, _at(service.ready))
        yield table


def _at(ready: Ready) -> str:
    """Where people may call it; only the router calls a tier on a Unix socket."""
    return "" if is_unix(ready.address) else f" at {ready.address}"
