"""What is timed is what was scored: real engines and the simulation answer alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.inprocess import Engines
from bench.papers.comparison import Bundles
from bench.papers.timing import time_in_turn
from offramp.decision.evidence import Evidence
from offramp.decision.plan import NEVER
from tests.support.tiny import RENAME, REVIEWS
from training.compare.cascade import Cascade, Examples, examples_of
from training.compare.methods import FULL, METHODS
from training.compare.ways import compare

EXAMPLES = 100
# Of the cascades of a method every so many are run: neighbours hardly differ.
EVERY = 20
ROUNDING = 1e-5
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def comparison(tiny_bundle: Path, tmp_path_factory):
    """The methods on the tiny bundle, its evidence, and some of the reviews."""
    work = tmp_path_factory.mktemp("scores")
    renamed = [
        f"{RENAME[label]}\t{text}"
        for label, text in (line.split("\t") for line in REVIEWS.read_text().splitlines()[1:])
    ]
    data = work / "test.tsv"
    data.write_text("\n".join(["label\ttext", *renamed[:EXAMPLES]]) + "\n")
    bundles = Bundles(tiny_bundle, {})
    choosing = examples_of(bundles.evidence())
    evidence, texts = bundles.scored(data, work)
    measured = Examples(evidence, choosing.full_calibrator)
    return bundles, compare(METHODS, choosing, measured), texts, evidence


def clear(cascade: Cascade, evidence: Evidence) -> bool:
    """No threshold stands within rounding of a confidence: batches differ in the last digits."""
    thresholds = np.asarray(cascade.thresholds)[:, None]
    scores = cascade.view.of(evidence).confidences(cascade.measure)
    near = np.abs(scores - thresholds) < ROUNDING
    return not (near & (thresholds > 0) & (thresholds < NEVER)).any()


def test_every_method_answers_as_scoring_foretold(comparison):
    bundles, ways, texts, evidence = comparison
    engines = Engines(bundles.evidence().exits, bundles.homes, batch=16, backend="torch")
    foretold = {
        cascade: measured.outcome
        for way in ways
        for cascade, measured in list(zip(way.cascades, way.measured, strict=True))[::EVERY]
        if clear(cascade, evidence)
    }
    assert all(foretold.keys() & set(way.cascades) for way in ways)
    full = next(way for way in ways if way.method is FULL)
    timings = time_in_turn(engines, full.cascades[0], foretold, texts.texts, repeats=1)
    assert {timing.differing for timing in timings.values()} == {0}
    assert timings[full.cascades[0]].speedup == 1.0


def test_an_escalated_text_reaches_the_large_tier(comparison):
    bundles, ways, texts, evidence = comparison
    two = next(way for way in ways if way.method.name == "two tiers only")
    never = next(c for c in two.cascades if c.thresholds[0] >= 1.0)
    served = Engines(evidence.exits, bundles.homes, batch=16).build(never).run(texts.texts)
    assert set(served.exits.tolist()) == {len(evidence.exits) - 1}
