"""Sources of a report, and the page made of them: computed once, since drawing takes seconds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offramp.bundle import read_evidence, read_manifest
from tests.support.cascade import make_bundle
from training.data import Text
from training.report.compose import compose
from training.report.page import render
from training.report.sources import Sources, own_rows

NASTY = "<script>alert('text')</script> & <b>bold</b>"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """A bundle with evidence and no models."""
    return make_bundle(tmp_path_factory.mktemp("report") / "sentiment")


@pytest.fixture(scope="session")
def sources(bundle):
    """The bundle's own evidence, with a text for every example, and a name that is no markup."""
    manifest = read_manifest(bundle)
    evidence = read_evidence(bundle, manifest)
    rows = own_rows(evidence)
    return Sources(
        manifest=replace(manifest, name="<i>route</i>", labels=("<u>no</u>", "yes")),
        evidence=evidence,
        measured=evidence.subset(rows),
        texts=tuple(Text(f"{NASTY} number {row}") for row in rows),
    )


@pytest.fixture(scope="session")
def page(sources):
    """All that is on the page."""
    return compose(sources, shown=2)


@pytest.fixture(scope="session")
def html(page):
    """The page as text."""
    return render(page)


@pytest.fixture(scope="session")
def section(page):
    """A section by its anchor."""
    return {one.anchor: one for one in page.sections}.__getitem__


def everything_certifies(evidence):
    """Evidence with nothing left to choose thresholds on."""
    return replace(evidence, certifies=np.ones(len(evidence.labels), dtype=bool))
