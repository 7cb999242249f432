"""Colours of the report, by role: drawn as markers, read by the browser as CSS variables.

A picture that is drawn once must look right on a light page, a dark one and paper. So matplotlib
draws every role in a colour of its own that nobody sees, and `as_variables` puts a CSS variable in
its place; the style sheet says what the variable is in each scheme.
"""

from __future__ import annotations

import re

ROLES = (
    "ink", "muted", "grid", "surface", "on-exit",
    "ours", "two-tier", "multi-exit", "entropy", "truncated", "small", "before",
)  # fmt: skip
FIRST_EXIT = 128
HUES = (195.0, 395.0)


def colour(role: str) -> str:
    """The stand-in colour of a role."""
    return f"#0b0f{ROLES.index(role):02x}"


def exit_colour(index: int) -> str:
    """The stand-in colour of an exit, by its place in the cascade (at most 128 of them)."""
    return f"#0b0f{FIRST_EXIT + index:02x}"


def as_variables(svg: str) -> str:
    """The picture with every stand-in colour replaced by its CSS variable."""
    return re.sub(r"#0b0f([0-9a-f]{2})", lambda found: f"var(--{_name(int(found[1], 16))})", svg)


def _name(number: int) -> str:
    return ROLES[number] if number < FIRST_EXIT else f"exit-{number - FIRST_EXIT}"


def exit_variables(count: int) -> str:
    """CSS declarations of the exits' colours: hue and lightness go along the cascade.

    The two ends of the lightness, `--near` and `--far`, are the scheme's.
    """
    declarations = []
    for index in range(count):
        share = index / max(count - 1, 1)
        hue = (HUES[0] + share * (HUES[1] - HUES[0])) % 360
        lightness = f"calc(var(--near) + (var(--far) - var(--near)) * {share:.3f})"
        declarations.append(f"--exit-{index}: oklch({lightness} 0.13 {hue:.0f});")
    return " ".join(declarations)
