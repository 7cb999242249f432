"""The certified region: how fast the cascade may go under a guarantee, and where there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from offramp.decision.family import Family
from offramp.decision.guarantee import Loss, Terms, certified
from offramp.decision.risk import Method, TooThinError
from offramp.decision.simulate import simulate
from offramp.decision.thresholds import ExitShares
from training.report.page import Block, Cell, Note, Section, Table
from training.report.sources import Sources
from training.report.wording import SPACE, counted, percent, times

LIMITS = (0.005, 0.01, 0.02, 0.03, 0.05)
CONFIDENCES = (0.9, 0.95, 0.99)
NONE_KEPT = (
    "This bundle keeps no texts for guarantees, so none can be given: what a threshold was chosen "
    "on proves nothing of it. Retrain the bundle, or take its evidence anew: offramp calibrate."
)


@dataclass(frozen=True, slots=True)
class Granted:
    """The fastest certified setting, on the measured texts."""

    speedup: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Refused:
    """No setting can be certified. needed: texts that would do; None where no number would."""

    needed: int | None


Verdict = Granted | Refused


def verdict(sources: Sources, family: Family, terms: Terms) -> Verdict:
    """What the certifying part allows of a family under some terms."""
    try:
        point, _ = certified(family, sources.evidence.certifying, terms)
    except TooThinError as error:
        return Refused(error.needed)
    seen = simulate(sources.measured, point.thresholds, sources.measure)
    return Granted(seen.speedup, seen.accuracy)


def section(sources: Sources) -> Section:
    """A grid for each kind of loss, and the methods side by side."""
    kept = len(sources.evidence.certifying.labels)
    return Section(
        anchor="certified",
        title="What is guaranteed",
        lead=(
            "How fast the router may go while its loss against full depth stays under a limit, for "
            "texts like the held-out ones. The promise fails with a chance of at most 1 − "
            f"confidence (Learn then Test, on {counted(kept, 'text')} that chose no threshold). "
            "Where texts are too few the router refuses, and says how many would do."
        ),
        blocks=_blocks(sources) if kept else (Note(NONE_KEPT),),
    )


def _blocks(sources: Sources) -> tuple[Block, ...]:
    family = ExitShares(sources.evidence.choosing, sources.measure)  # as the router does
    return (
        _grid(sources, family, Loss.ACCURACY, "Accuracy lost at most (max_accuracy_loss)"),
        _grid(sources, family, Loss.DISAGREEMENT, "Answers changed at most (max_disagreement)"),
        _methods(sources, family),
    )


def _grid(sources: Sources, family: Family, loss: Loss, caption: str) -> Table:
    """Limits down, confidences across."""
    terms = [[Terms(loss, limit, confidence=c) for c in CONFIDENCES] for limit in LIMITS]
    return Table(
        caption=caption,
        columns=["limit", *(f"confidence {percent(c, 0)}" for c in CONFIDENCES)],
        rows=_rows(sources, family, terms),
    )


def _methods(sources: Sources, family: Family) -> Table:
    """Limits down, methods across."""
    terms = [[Terms(Loss.ACCURACY, limit, method) for method in Method] for limit in LIMITS]
    return Table(
        caption="Methods side by side: accuracy, at confidence 95 % (crc: in expectation only)",
        columns=["limit", *(method.value for method in Method)],
        rows=_rows(sources, family, terms),
        folded=True,
    )


def _rows(
    sources: Sources, family: Family, terms: Sequence[Sequence[Terms]]
) -> list[list[str | Cell]]:
    """A row per limit, headed by it."""
    fastest = float((1 / sources.measured.costs()[0]).mean())
    return [
        [
            f"{100 * row[0].limit:g}{SPACE}%",
            *(_cell(verdict(sources, family, one), fastest) for one in row),
        ]
        for row in terms
    ]


def _cell(found: Verdict, fastest: float) -> Cell:
    if isinstance(found, Refused):
        if found.needed is None:
            return Cell("refused", "loses too much", refused=True)
        return Cell("refused", f"needs about {found.needed:,} texts", refused=True)
    shade = math.log(max(found.speedup, 1.0)) / math.log(max(fastest, 2.0))
    return Cell(times(found.speedup), f"at {percent(found.accuracy)}", shade=min(shade, 1.0))
