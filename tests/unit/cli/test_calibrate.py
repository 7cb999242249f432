"""`offramp calibrate`: what it prints, and what it refuses."""

from __future__ import annotations

import shutil

from offramp.bundle import read_manifest
from tests.support.tiny import REVIEWS


def test_a_bundle_gets_evidence_in_another_precision(offramp, tiny_bundle, tmp_path):
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    done = offramp("calibrate", bundle, REVIEWS, "--precision", "bf16")
    assert done.exit_code == 0, done.stderr
    manifest = read_manifest(bundle)
    assert f"is bundle {manifest.id} now, with evidence in fp32, bf16" in done.stdout
    measured = offramp(
        "evaluate", bundle, REVIEWS, "--precision", "bf16", "--confidence", "learned"
    )
    assert measured.exit_code == 0, measured.stderr


def test_a_precision_that_nothing_serves_in_is_exit_code_2(offramp, tiny_bundle):
    done = offramp("calibrate", tiny_bundle, REVIEWS, "--precision", "int4")
    assert done.exit_code == 2
    assert "bf16" in done.stderr


def test_evaluating_in_a_precision_without_evidence_names_the_remedy(offramp, tiny_bundle):
    done = offramp("evaluate", tiny_bundle, REVIEWS, "--precision", "bf16")
    assert done.exit_code == 1
    assert "offramp calibrate BUNDLE DATA --precision bf16" in done.stderr
