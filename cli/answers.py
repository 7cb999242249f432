"""Answers for people and for programs: a table row, a JSON line, a summary."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text as Styled

from offramp.client.results import Classification, ItemFailure, Outcome, Text
from offramp.errors import InvalidRequestError

if TYPE_CHECKING:
    from rich.console import RenderableType

Result = Classification | ItemFailure
# Outcomes that a reader should not overlook.
NOTEWORTHY = (Outcome.DEADLINE, Outcome.DEGRADED)


@dataclass(slots=True)
class Tally:
    """What the answers come to together."""

    exits: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    failed: int = 0
    escalated: int = 0
    flops: float = 0.0
    baseline_flops: float = 0.0

    def add(self, result: Result) -> None:
        """Count an answer or a failure."""
        if isinstance(result, ItemFailure):
            self.failed += 1
            return
        self.answered += 1
        self.exits[result.exit] += 1
        self.escalated += result.escalated
        self.flops += result.cost.flops
        self.baseline_flops += result.cost.baseline_flops

    def sentence(self, seconds: float) -> str:
        """One line: how many, how fast, from which exits, at what saving."""
        total = self.answered + self.failed
        parts = [f"{total} text{'s' * (total != 1)} in {seconds:.2f} s"]
        if self.answered:
            mix = ", ".join(f"{e} {n / self.answered:.0%}" for e, n in sorted_exits(self.exits))
            parts.append(f"exits: {mix}")
            if self.flops:
                parts.append(f"mean speedup {self.baseline_flops / self.flops:.1f}x")
            parts.append(f"escalated {self.escalated / self.answered:.0%}")
        if self.failed:
            parts.append(f"failed {self.failed}")
        return " · ".join(parts)


def sorted_exits(exits: Counter[str]) -> list[tuple[str, int]]:
    """Exits with their counts, those of single-exit tiers first, then by depth."""

    def depth(entry: tuple[str, int]) -> tuple[str, int]:
        tier, _, layer = entry[0].partition("@")
        return ("", 0) if not layer else (tier, int(layer) if layer.isdigit() else 0)

    return sorted(exits.items(), key=depth)


def table() -> Table:
    """An empty table for `row`."""
    made = Table(box=None, header_style="bold", pad_edge=False, expand=True)
    for name in ("label", "confidence", "exit", "speedup"):
        figures = name in ("confidence", "speedup")
        made.add_column(name, justify="right" if figures else "left", no_wrap=True)
    made.add_column("text", no_wrap=True, overflow="ellipsis", ratio=1)
    return made


def row(text: Text, answer: Classification) -> list[RenderableType]:
    """The cells of an answer."""
    note = f" ({answer.outcome})" if answer.outcome in NOTEWORTHY else ""
    cut = " (cut)" if answer.truncated else ""
    return [
        Styled(answer.label, "bold"),
        f"{answer.confidence:.3f}",
        Styled(answer.exit + note, "yellow" if answer.escalated else "green"),
        f"{answer.cost.speedup:.1f}x",
        Styled(plain(text) + cut),
    ]


def failure_line(text: Text, failure: ItemFailure) -> str:
    """What went wrong with which text."""
    shown = plain(text)
    return f"failed: {shown[:60]!r}: {failure.error}"


def json_line(text: Text, result: Result) -> str:
    """An answer or a failure as one line of JSON, with the text it belongs to."""
    single, pair = text if isinstance(text, tuple) else (text, None)
    content: dict[str, Any] = {"text": single} | ({"text_pair": pair} if pair is not None else {})
    if isinstance(result, ItemFailure):
        content["error"] = _error(result)
    else:
        content |= asdict(result)
    return json.dumps(content, ensure_ascii=False)


def _error(failure: ItemFailure) -> dict[str, Any]:
    error = failure.error
    violations = error.violations if isinstance(error, InvalidRequestError) else ()
    return {
        "code": error.code.name,
        "message": str(error),
        "violations": [asdict(violation) for violation in violations],
    }


def plain(text: Text) -> str:
    """The text on one line."""
    whole = " ⇢ ".join(text) if isinstance(text, tuple) else text
    return " ".join(whole.split())
