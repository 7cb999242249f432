"""Where the figures come from: which texts chose, which measured, which certified."""

from __future__ import annotations

from training.report.page import Section, Table
from training.report.sources import Sources
from training.report.wording import counted


def section(sources: Sources) -> Section:
    """The bundle and the parts of the examples."""
    return Section(
        anchor="sources",
        title="What these figures are of",
        lead=(
            "Networks are fitted on the training texts, readouts on a first part of the texts held "
            "out from them, thresholds on a second, guarantees are tested on a third."
        ),
        blocks=(
            Table(
                caption="Bundle and texts",
                columns=["", ""],
                rows=[[name, value] for name, value in _facts(sources).items()],
                left=frozenset({1}),
            ),
        ),
    )


def _facts(sources: Sources) -> dict[str, str]:
    manifest, evidence = sources.manifest, sources.evidence
    tiers = "; ".join(
        f"{tier.name} ({tier.kind.replace('_', ' ')}): {', '.join(e.name for e in tier.exits)}"
        for tier in manifest.tiers
    )
    return {
        "bundle": f"{manifest.name}, id {manifest.id}, made {manifest.created}",
        "labels": _listed(manifest.labels),
        "tiers and exits": tiers,
        "models compute in": sources.precision,
        "confidence": sources.measure.value,
        "thresholds chosen on": counted(len(sources.choosing.labels), "held-out text"),
        "figures measured on": sources.measured_on,
        "guarantees tested on": counted(len(evidence.certifying.labels), "held-out text"),
        "intervals": "95 %, bootstrap over the measured texts, 1,000 draws",
    }


def _listed(labels: tuple[str, ...], most: int = 12) -> str:
    """The labels, or the first of hundreds."""
    shown = ", ".join(labels[:most])
    return shown if len(labels) <= most else f"{shown} and {len(labels) - most} more"
