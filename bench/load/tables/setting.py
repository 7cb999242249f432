"""What every table of load is measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.load.generator import Ask
from bench.services import Services
from offramp.client import Override

FULL_DEPTH = Override(full_depth=True)


@dataclass(frozen=True, slots=True)
class Setting:
    """Services that run, whose client never retries, and texts with their labels.

    name: of the bundle.  bundle: its folder.  objective_seconds: what an answer may take.
    """

    name: str
    bundle: Path
    services: Services
    texts: Sequence[str]
    labels: Sequence[str]
    objective_seconds: float
    seed: int

    def ask(self, timeout: float, *, full_depth: bool = False) -> Ask:
        """Sends a text, at full depth if wanted."""
        override = FULL_DEPTH if full_depth else None

        def ask(text: str) -> Any:
            return self.services.client.classify(text, override=override, timeout=timeout)

        return ask


def shown(seconds: float) -> str:
    """A time in milliseconds."""
    return f"{1000 * seconds:.1f}"
