"""From a bundle to a file: on its own evidence, on texts it never saw, and refusals."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from offramp.bundle import read_evidence, read_manifest, write_evidence
from offramp.decision.confidence import Measure
from offramp.errors import BundleError
from tests.support.cascade import make_bundle
from tests.support.tiny import REVIEWS
from training.data import Columns, LabelledTexts, Text, read_labelled
from training.evaluate import MeasureError
from training.parting import part
from training.report.write import ReportError, ReportSettings, run, write


def test_a_report_of_the_evidence_needs_no_texts(bundle, tmp_path):
    written = run(ReportSettings(bundle, tmp_path / "new" / "report.html"))
    assert written == tmp_path / "new" / "report.html"
    text = written.read_text(encoding="utf-8")
    assert "400 texts held out from training" in text
    assert "blockquote dir" not in text
    assert [path.name for path in written.parent.iterdir()] == ["report.html"]


def test_texts_of_a_training_stand_beside_their_own_evidence(tmp_path):
    """Each text says its label and tokens, as the evidence does of it."""
    bundle = make_bundle(tmp_path / "sentiment")
    manifest = read_manifest(bundle)
    evidence = read_evidence(bundle, manifest)
    count = len(evidence.labels)
    # Among the held-out texts are those that fitted the readouts: evidence has none of them.
    labels = np.random.default_rng(1).integers(0, 2, 2 * count)
    names, targets = ("negative", "positive"), np.eye(2, dtype=np.float32)[labels]
    unmarked = LabelledTexts(tuple(Text(f"{row}") for row in range(2 * count)), targets, names)
    parts = part(unmarked, 0.5, seed=3)
    rows = np.union1d(parts.choosing, parts.certifying)
    assert len(rows) == count
    own = replace(evidence, labels=labels[rows], certifies=np.isin(rows, parts.certifying))
    write_evidence(bundle, manifest, {"fp32": own})
    texts = tuple(
        Text(f"held out as {row}: {'certifies' if row in parts.certifying else 'does not'}")
        for row in range(2 * count)
    )
    held_out = LabelledTexts(texts, targets, names)
    out = tmp_path / "report.html"
    page = write(bundle, out, held_out, readout_share=0.5, seed=3).read_text(encoding="utf-8")
    shown = re.findall(r"held out as (\d+): (.*?)</blockquote>.*?labelled <b>(\w+)</b>", page, re.S)
    assert len(shown) >= 6
    for row, kind, label in shown:
        assert kind == "certifies"
        assert label == ("negative", "positive")[labels[int(row)]]
    assert not list(bundle.glob("*.html"))


def test_a_report_on_a_file_takes_its_figures_texts_and_seconds_there(tiny_bundle, tmp_path):
    settings = ReportSettings(tiny_bundle, tmp_path / "report.html", data=REVIEWS)
    page = run(settings).read_text(encoding="utf-8")
    texts = read_labelled(REVIEWS, Columns(), {"0": "negative", "1": "positive"})
    assert f"the {len(texts):,} texts of reviews.tsv" in page
    assert "Seconds are the median on the machine" in page
    assert page.count("<blockquote") >= 3


def test_evidence_with_nothing_to_choose_on_is_refused(tmp_path):
    bundle = make_bundle(tmp_path / "sentiment")
    manifest = read_manifest(bundle)
    evidence = read_evidence(bundle, manifest)
    every = replace(evidence, certifies=np.ones(len(evidence.labels), dtype=bool))
    write_evidence(bundle, manifest, {"fp32": every})
    out = tmp_path / "report.html"
    with pytest.raises(ReportError, match=r"to choose thresholds on.*offramp calibrate"):
        run(ReportSettings(bundle, out))
    assert not out.exists()


def test_a_learned_confidence_that_was_not_learned_is_refused(bundle, tmp_path):
    with pytest.raises(MeasureError, match=r"no learned score for .* or choose max_prob"):
        run(ReportSettings(bundle, tmp_path / "report.html", measure=Measure.LEARNED))


def test_a_folder_without_a_bundle_is_refused(tmp_path):
    with pytest.raises(BundleError, match="no bundle at"):
        run(ReportSettings(tmp_path, tmp_path / "report.html"))


def test_a_precision_without_evidence_is_refused(bundle, tmp_path):
    with pytest.raises(BundleError, match=r"no evidence in bf16.*offramp calibrate"):
        run(ReportSettings(bundle, tmp_path / "report.html", precision="bf16"))


def test_an_older_report_is_replaced(bundle, tmp_path):
    out = tmp_path / "report.html"
    out.write_text("old", encoding="utf-8")
    assert "old" not in run(ReportSettings(bundle, out)).read_text(encoding="utf-8")[:20]
