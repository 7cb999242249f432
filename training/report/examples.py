"""Texts that leave early and late, right and wrong, with what every exit says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.decision.simulate import chosen_exits
from training.data import Text
from training.report import page
from training.report.page import Section, Step
from training.report.sources import Sources
from training.report.wording import counted, threshold

LONGEST = 400

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of the measured examples, most telling first, and how they were picked."""

    title: str
    rule: str
    rows: Rows


def groups(sources: Sources, thresholds: tuple[float, ...]) -> tuple[Group, ...]:
    """All examples of every kind, at one operating point."""
    measured = sources.measured
    confidences = measured.confidences(sources.measure)
    exits = chosen_exits(confidences, thresholds)
    correct, last = measured.correct(), len(measured.exits) - 1
    answered = correct[exits, np.arange(len(exits))]
    confidence = confidences[exits, np.arange(len(exits))]
    early, late = exits == 0, exits == last
    first = measured.exit_names[0]

    def pick(chosen: NDArray[np.bool_], order: NDArray[np.float64]) -> Rows:
        rows = np.flatnonzero(chosen)
        return rows[np.argsort(-order[rows], kind="stable")]

    return (
        Group("Left early, and right", f"Answered at {first}; the surest of them.",
              pick(early & answered, confidence)),
        Group("Went the whole way, and it paid",
              f"Right at the last exit, where {first} was wrong; {first} was surest of these.",
              pick(late & answered & ~correct[0], confidences[0])),
        Group("Went the whole way for the same answer",
              f"Right at the last exit, and at {first} too, which was least sure of these.",
              pick(late & answered & correct[0], -confidences[0])),
        Group("Left before the end, and wrong", "The surest of them.",
              pick(~late & ~answered, confidence)),
        Group("Went the whole way, and wrong", "The last exit was surest of these.",
              pick(late & ~answered, confidence)),
    )  # fmt: skip


def section(
    sources: Sources,
    texts: Sequence[Text],
    thresholds: tuple[float, ...],
    speedup: str,
    count: int,
) -> Section:
    """So many examples of every kind there is; what each exit says of them.

    texts: of the measured examples, one by one.
    """
    shown = [
        page.Examples(
            title=f"{group.title} ({counted(len(group.rows), 'text')})",
            rule=group.rule,
            examples=tuple(
                _example(sources, texts[row], thresholds, row)
                for row in _different(group.rows, texts)[:count]
            ),
        )
        for group in groups(sources, thresholds)
        if len(group.rows)
    ]
    named = zip(sources.measured.exit_names[:-1], thresholds, strict=False)
    return Section(
        anchor="examples",
        title="Texts that leave early and late",
        lead=(
            f"At the recommended setting ({speedup}), where thresholds are "
            + ", ".join(f"{name} {threshold(value)}" for name, value in named)
            + ". The arrow marks the exit that answered; later exits, in grey, were never asked."
        ),
        blocks=tuple(shown),
    )


def _different(rows: Rows, texts: Sequence[Text]) -> list[int]:
    """The rows, of each text the first: a file may hold a text many times."""
    first: dict[Text, int] = {}
    for row in rows.tolist():
        first.setdefault(texts[row], row)
    return list(first.values())


def _example(sources: Sources, text: Text, thresholds: tuple[float, ...], row: int) -> page.Example:
    measured, labels = sources.measured, sources.manifest.labels
    confidences = measured.confidences(sources.measure)[:, [row]]
    left = int(chosen_exits(confidences, thresholds)[0])
    steps = tuple(
        Step(
            exit=name,
            index=index,
            answer=labels[measured.answers()[index, row]],
            confidence=float(confidences[index, 0]),
            state="passed" if index < left else "left" if index == left else "beyond",
            right=bool(measured.correct()[index, row]),
        )
        for index, name in enumerate(measured.exit_names)
    )
    pair = None if text.pair is None else _shortened(text.pair)
    return page.Example(_shortened(text.text), pair, labels[measured.labels[row]], steps)


def _shortened(text: str) -> str:
    """Texts can be pages long."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST].rstrip()} …"
