"""How the report writes numbers."""

from __future__ import annotations

from offramp.decision.plan import NEVER
from training.report.bootstrap import Interval

SPACE = "\N{NO-BREAK SPACE}"
SECOND_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
FLOP_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def percent(share: float, digits: int = 1) -> str:
    """0.8888 as 88.9 %."""
    return f"{100 * share:.{digits}f}{SPACE}%"


def span(interval: Interval) -> str:
    """The bounds of a share as 86.8 – 91.1."""
    return f"{100 * interval.low:.1f}{SPACE}–{SPACE}{100 * interval.high:.1f}"


def points(difference: float) -> str:
    """A difference of shares in points, with its sign."""
    return f"{_signed(difference)}{SPACE}points"


def points_span(interval: Interval) -> str:
    """The bounds of a difference in points."""
    return f"{_signed(interval.low)}{SPACE}…{SPACE}{_signed(interval.high)}"


def _signed(difference: float) -> str:
    rounded = round(100 * difference, 1)
    if rounded == 0:
        return "±0.0"
    return f"{'+' if rounded > 0 else '−'}{abs(rounded):.1f}"


def times(speedup: float) -> str:
    """8.21 as 8.2×, 0.982 as 0.98×."""
    return f"{speedup:.2f}×" if speedup < 2 else f"{speedup:.1f}×"


def counted(number: int, noun: str) -> str:
    """1 text, 1,033 texts."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def allowance(limit: float) -> str:
    """How much accuracy a setting may lose."""
    if not limit:
        return "nothing lost"
    return f"≤{SPACE}{100 * limit:g}{SPACE}point{'' if limit == 0.01 else 's'} lost"


def threshold(value: float) -> str:
    """0 and 1 are not numbers but rules."""
    if value >= NEVER:
        return "never"
    return "always" if value <= 0 else f"{value:.3f}"


def flops(count: float) -> str:
    """Operations with a unit."""
    return _with_unit(count, FLOP_UNITS) + "FLOPs"


def seconds(duration: float) -> str:
    """A duration with a unit."""
    return _with_unit(duration, SECOND_UNITS)


def _with_unit(value: float, units: tuple[tuple[float, str], ...]) -> str:
    size, unit = next((u for u in units if value >= u[0]), units[-1])
    return f"{value / size:.3g}{SPACE}{unit}"
