"""The page as a whole: every section, computed from one set of sources."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from training.compare.cascade import Examples, examples_of
from training.compare.methods import FULL, METHODS, OURS, both_together
from training.compare.ways import Way, compare
from training.report import (
    certified,
    costs,
    curve,
    examples,
    headline,
    mix,
    provenance,
    reliability,
    risk_coverage,
)
from training.report.page import Note, Page, Section
from training.report.sources import Sources
from training.report.wording import times

SHARED = (
    "Thresholds were chosen on the very texts that these figures are of, so they flatter the "
    "cascade. Give a labelled file that the bundle never saw: offramp report BUNDLE DATA."
)


def compose(sources: Sources, shown: int) -> Page:
    """All sections. shown: so many example texts of each kind; 0 for a page without texts."""
    ways = ways_of(sources)
    full = ways[FULL.name].measured[0]
    settings = headline.settings(sources, ways[OURS.name], full)
    sections = [
        headline.section(settings, sources),
        curve.section(list(ways.values()), sources.measured_on),
        mix.section(sources),
        certified.section(sources),
        reliability.section(sources),
        risk_coverage.section(sources),
        *_examples(sources, settings, shown),
        costs.section(sources),
        provenance.section(sources),
    ]
    return Page(
        name=sources.manifest.name,
        summary=headline.summary(settings, full, sources),
        notes=(Note(SHARED),) if sources.shared else (),
        tiles=headline.tiles(settings, full),
        sections=tuple(sections),
        exits=len(sources.measured.exits),
    )


def ways_of(sources: Sources) -> dict[str, Way]:
    """Every method by its name, all choices made on other texts than those measured."""
    choosing = examples_of(sources.choosing)
    measured = Examples(sources.measured, choosing.full_calibrator)
    ours = replace(OURS, cascades=partial(both_together, measure=sources.measure))
    methods = [ours if method is OURS else method for method in METHODS]
    return {way.method.name: way for way in compare(methods, choosing, measured)}


def _examples(
    sources: Sources, settings: tuple[headline.Setting, ...], shown: int
) -> list[Section]:
    chosen = headline.recommended(settings)
    if sources.texts is None or chosen is None or shown == 0:
        return []
    speedup = times(chosen.measured.speedup)
    return [examples.section(sources, sources.texts, chosen.thresholds, speedup, shown)]
