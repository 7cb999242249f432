"""The papers' table: what each method reached on each set, as rows for people and for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from bench.papers.comparison import Comparison, Timed
from bench.papers.points import GRID, read_off
from bench.papers.record import full_accuracy, label, reached
from bench.papers.verdict import Gap, Reached, behind, best, gaps, level, worst
from bench.publishing import Table
from training.compare.methods import OURS
from training.compare.operating import LIMITS

Rows: TypeAlias = list[list[str]]

HOW = (
    "Each cell: accuracy on the test file, wall-clock speedup, FLOP speedup; means over the seeds. "
    "Points were chosen on evidence: the cheapest whose expected loss is within the limit. "
    "! marks a loss on the test file beyond the limit by more than a standard error; "
    "* the fastest of the others."
)
BACKENDS = {"openvino": "OpenVINO", "torch": "PyTorch"}
SIZES = (
    "Texts that points were chosen on, texts that they were measured on, accuracy of the full "
    "model; and the largest standard error of an expected loss that both together was chosen by, "
    "in points."
)
READ_OFF = (
    "FLOP speedup read off the test curve itself, as the papers report theirs: an upper bound that "
    "nobody can choose without the test labels."
)
EXITS = "The exit's own logits, nothing before it; ±: standard deviation over the seeds."
EVERYWHERE = (
    f"Accuracy at equal FLOPs, at {len(GRID)} speedups from {GRID[0]:g}x to {GRID[-1]:g}x as far "
    "as both go; behind: by more than a standard error of the paired difference. Expected: how far "
    "ahead the evidence had it that points were chosen on: where that is more than what came, so "
    "few texts chose badly; below zero, the rule was behind there as well: backward induction "
    "finds each threshold given those behind it, not the best of all vectors."
)


def tables(title: str, comparisons: Sequence[Comparison], timed: Timed) -> list[Table]:
    """All tables of a set, from its seeds, in the order that a reader needs them."""
    parts = (_sizes, _methods, _best, _everywhere, _exits, _read)
    return [
        Table(head, columns, rows(title, comparisons), note)
        for (head, columns, note), rows in zip(_heads(timed), parts, strict=True)
    ]


def _heads(timed: Timed) -> tuple[tuple[str, list[str], str], ...]:
    """Title, columns and note of each table."""
    clock = (
        f"The clock (fp32 by {BACKENDS[timed.backend]}, the fastest round of each): "
        f"{timed.texts:,} texts at most, batches of {timed.batch}, {timed.repeats} rounds."
    )
    limits = [label(limit) for limit in LIMITS]
    return (
        (
            "What was compared",
            ["set", "seeds", "choosing", "test", "full model", "error of a choice"],
            SIZES,
        ),
        (
            "Methods at the same allowed loss",
            ["set", "method", "source", *limits],
            f"{HOW} {clock}",
        ),
        (
            "The fastest method that kept the limit",
            ["set", "limit", "best method", "wall clock", "both together", "remark"],
            "",
        ),
        (
            "Both together against the best of the others, at every cost",
            ["set", "behind at", "where it does worst", "expected there"],
            EVERYWHERE,
        ),
        ("Every exit answering everything", ["set", "exit", "accuracy", "FLOPs"], EXITS),
        ("As the papers report", ["set", "method", *limits], READ_OFF),
    )


def _sizes(title: str, comparisons: Sequence[Comparison]) -> Rows:
    sizes = comparisons[0].sizes
    errors = [p.expected.error for c in comparisons for p in c.points if p.method == OURS.name]
    return [
        [
            title,
            ", ".join(str(comparison.seed) for comparison in comparisons),
            f"{sizes['choosing']:,}",
            f"{sizes['test']:,}",
            f"{100 * full_accuracy(comparisons):.2f}",
            f"{100 * max(errors):.2f}",
        ]
    ]


def _methods(title: str, comparisons: Sequence[Comparison]) -> Rows:
    points, full = reached(comparisons), full_accuracy(comparisons)
    fastest = {limit: best([p for p in points if p.limit == limit]) for limit in LIMITS}
    rows = []
    for way in comparisons[0].ways:
        own = {p.limit: p for p in points if p.method == way.method.name}
        cells = [
            _cell(own[limit], full, own[limit] is fastest[limit]) if limit in own else "–"
            for limit in LIMITS
        ]
        rows.append([title, way.method.name, way.method.source, *cells])
    return rows


def _cell(point: Reached, full: float, fastest: bool) -> str:
    marks = ("" if point.kept else " !") + (" *" if fastest else "")
    speedups = f"{point.speedup_wall:.2f}x · {point.speedup_flops:.2f}x"
    return f"{100 * (full - point.lost):.2f} · {speedups}{marks}"


def _best(title: str, comparisons: Sequence[Comparison]) -> Rows:
    rows = []
    for limit in LIMITS:
        points = [p for p in reached(comparisons) if p.limit == limit]
        first, ours = best(points), next((p for p in points if p.method == OURS.name), None)
        rows.append(
            [
                title,
                label(limit),
                first.method if first else "none kept the limit",
                f"{first.speedup_wall:.2f}x" if first else "–",
                f"{ours.speedup_wall:.2f}x" if ours else "–",
                _remark(first, ours),
            ]
        )
    return rows


def _remark(first: Reached | None, ours: Reached | None) -> str:
    if first is None or ours is None or first.method == OURS.name:
        return ""
    if not ours.kept:
        lost, error = 100 * ours.lost, 100 * ours.error
        return f"both together lost {lost:.2f} ± {error:.2f} points on the test file"
    if level(first, ours):
        return "both together is level: the rounds differ by more"
    return f"both together is {100 * (1 - ours.speedup_wall / first.speedup_wall):.0f} % slower"


def _everywhere(title: str, comparisons: Sequence[Comparison]) -> Rows:
    compared = gaps([c.ways for c in comparisons])
    least = worst(compared)
    if least is None:
        return [[title, "nowhere", "–", "–"]]
    return [[title, _behind(compared), _gap(least), f"{100 * least.expected:+.2f}"]]


def _behind(compared: Sequence[Gap]) -> str:
    found = behind(compared)
    if not found:
        return "nowhere"
    return ", ".join(f"{gap.speedup:.1f}x" for gap in found)


def _gap(gap: Gap) -> str:
    return (
        f"{100 * gap.ahead:+.2f} ± {100 * gap.error:.2f} points at {gap.speedup:.1f}x ({gap.other})"
    )


def _exits(title: str, comparisons: Sequence[Comparison]) -> Rows:
    rows = []
    for place, exit_cost in enumerate(comparisons[0].test.evidence.exits):
        found = [_alone(comparison, place) for comparison in comparisons]
        accuracies = [accuracy for accuracy, _ in found]
        speedup = float(np.mean([speedup for _, speedup in found]))
        spread = f" ± {100 * np.std(accuracies):.2f}" if len(found) > 1 else ""
        cell = f"{100 * np.mean(accuracies):.2f}{spread}"
        rows.append([title, exit_cost.name, cell, f"{speedup:.2f}x"])
    return rows


def _alone(comparison: Comparison, place: int) -> tuple[float, float]:
    """Accuracy and FLOP speedup of one exit that answers everything."""
    evidence = comparison.test.evidence
    right = evidence.logits[place].argmax(axis=-1) == evidence.labels
    spent = evidence.exits[place].flops.at(evidence.tokens).sum()
    return float(right.mean()), float(comparison.test.full.flops.sum() / spent)


def _read(title: str, comparisons: Sequence[Comparison]) -> Rows:
    return [
        [title, way.method.name, *(_mean_read_off(comparisons, i, limit) for limit in LIMITS)]
        for i, way in enumerate(comparisons[0].ways)
    ]


def _mean_read_off(comparisons: Sequence[Comparison], place: int, limit: float) -> str:
    found = [read_off(c.ways[place], c.test, limit) for c in comparisons]
    known = [speedup for speedup in found if speedup is not None]
    return f"{np.mean(known):.2f}x" if len(known) == len(comparisons) else "–"
