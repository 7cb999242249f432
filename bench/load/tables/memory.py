"""Memory over many requests: what each process holds, about every tenth of them."""

from __future__ import annotations

from collections.abc import Mapping

from bench.load.generator import Generator
from bench.load.tables.setting import Setting
from bench.load.usage import usage
from bench.publishing import Part, Table
from offramp.errors import OfframpError
from training import progress

TITLE = "Memory"
IN_FLIGHT, SPELL_SECONDS, TENTHS = 64, 5.0, 10
TIMEOUT_SECONDS = 60.0
NOTE = "Megabytes in memory after so many answers, 64 in flight; growth from the first row on."


class LoadError(OfframpError):
    """Services that no longer answer."""


async def measure(setting: Setting, requests: int) -> Part:
    """A closed loop until so many are answered."""
    generator = Generator(setting.ask(TIMEOUT_SECONDS), setting.texts)
    held: dict[int, dict[str, float]] = {}
    answered = 0
    with progress.step(TITLE.lower(), TENTHS) as bar:
        while answered < requests:
            found = await generator.closed_loop(IN_FLIGHT, SPELL_SECONDS)
            lately = sum(not one.error for one in found)
            if not lately:
                reasons = ", ".join(sorted({one.error for one in found}))
                raise LoadError(f"nothing was answered for {SPELL_SECONDS:g} s ({reasons})")
            answered += lately
            if answered * TENTHS >= requests * (len(held) + 1):
                pages = await usage(setting.services.pages)
                held[answered] = {name: page.memory_bytes / 1e6 for name, page in pages.items()}
                bar.advance(f"{answered:,} answered")
    return part(setting, held)


def part(setting: Setting, held: Mapping[int, Mapping[str, float]]) -> Part:
    """Figures and the table. held: megabytes by process, by answers given until then."""
    first, last = next(iter(held.values())), list(held.values())[-1]
    rows = [
        [setting.name, f"{answered:,}", *(f"{size:.0f}" for size in sizes.values())]
        for answered, sizes in held.items()
    ]
    growth = {name: last[name] / size - 1.0 for name, size in first.items()}
    rows.append([setting.name, "growth", *(f"{share:+.1%}" for share in growth.values())])
    figures = {
        "seed": setting.seed,
        "memory_mb": {str(n): dict(sizes) for n, sizes in held.items()},
        "growth": growth,
    }
    columns = ["bundle", "answers", *(f"{name} MB" for name in first)]
    return Part(figures, [Table(TITLE, columns, rows, NOTE)])
