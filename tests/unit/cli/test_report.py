"""`offramp report`: a page where it was asked for."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import pytest

from cli.train import written
from tests.support.cascade import make_bundle
from tests.support.tiny import REVIEWS


def test_a_page_of_the_bundles_own_evidence_is_written(offramp, tmp_path):
    out = tmp_path / "page.html"
    done = offramp("report", make_bundle(tmp_path / "sentiment"), "--out", out)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"report: {out}\n"
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_texts_of_the_file_are_shown_unless_they_are_not_wanted(offramp, tiny_bundle, tmp_path):
    out = tmp_path / "page.html"
    done = offramp("report", tiny_bundle, REVIEWS, "--out", out, "--examples", 1)
    assert done.exit_code == 0, done.stderr
    assert "<blockquote" in out.read_text(encoding="utf-8")
    assert offramp("report", tiny_bundle, REVIEWS, "-o", out, "--examples", 0).exit_code == 0
    assert "<blockquote" not in out.read_text(encoding="utf-8")


def test_the_page_opens_in_a_browser_when_asked(offramp, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    out = tmp_path / "page.html"
    bundle = make_bundle(tmp_path / "sentiment")
    assert offramp("report", bundle, "--out", out).exit_code == 0
    assert opened == []
    assert offramp("report", bundle, "--out", out, "--open").exit_code == 0
    assert opened == [out.as_uri()]


def test_a_measure_that_is_none_names_those_there_are(offramp, tmp_path):
    done = offramp("report", make_bundle(tmp_path / "sentiment"), "--confidence", "vibes")
    assert done.exit_code == 2
    assert "max_prob, margin, entropy, learned" in done.stderr


def test_a_folder_is_no_place_for_a_page(offramp, tiny_bundle, tmp_path):
    done = offramp("report", tiny_bundle, "--out", tmp_path)
    assert done.exit_code == 2
    assert "is a directory" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_bundle_is_a_sentence(offramp, tmp_path):
    done = offramp("report", tmp_path, "--out", tmp_path / "page.html")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: no bundle at")
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("option", "place"),
    [(None, Path("b/films-report.html")), ("page.html", Path("page.html")), ("none", None)],
)
def test_training_leaves_its_report_beside_the_bundle_unless_told(option, place):
    assert written.report(option, Path("b/films")) == place
