"""`offramp calibrate`: what it prints, and what it refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict

from offramp.bundle import content_id, read_manifest, retie_evidence, write_manifest
from tests.support.tiny import REVIEWS

SHIPPED = Path("bundles/sentiment")


def test_a_bundle_gets_evidence_in_another_precision(offramp, tiny_bundle, tmp_path):
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    (bundle / ".calibrating").mkdir()
    (bundle / ".calibrating" / "evidence.safetensors").write_text("what a killed run left behind")
    done = offramp("calibrate", bundle, REVIEWS, "--precision", "bf16")
    assert done.exit_code == 0, done.stderr
    assert not (bundle / ".calibrating").exists()
    manifest = read_manifest(bundle)
    assert f"is bundle {manifest.id} now, with evidence in fp32, bf16" in done.stdout
    measured = offramp(
        "evaluate", bundle, REVIEWS, "--precision", "bf16", "--confidence", "learned"
    )
    assert measured.exit_code == 0, measured.stderr


def test_a_dataset_is_taken_as_a_file_is(offramp, tiny_bundle, tmp_path):
    rows = [line.split("\t") for line in REVIEWS.read_text().splitlines()[1:]]
    columns = {"label": [row[0] for row in rows], "text": [row[1] for row in rows]}
    DatasetDict(test=Dataset.from_dict(columns)).save_to_disk(tmp_path / "reviews")
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    page = tmp_path / "page.html"
    data = f"{tmp_path / 'reviews'}@test"
    done = offramp("evaluate", bundle, data)
    assert done.exit_code == 0, done.stderr
    assert "900 texts; every exit on its own" in done.stdout
    assert offramp("report", bundle, data, "--out", page).exit_code == 0
    assert offramp("calibrate", bundle, data).exit_code == 0
    made = json.loads((bundle / "training.json").read_text())
    assert made["calibrated_on"] == "reviews@test"
    assert str(tmp_path) not in page.read_text()


def test_texts_of_one_label_are_no_evidence(offramp, tiny_bundle, tmp_path):
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    kept = (bundle / "manifest.json").read_bytes()
    lines = REVIEWS.read_text().splitlines(keepends=True)
    data = tmp_path / "one.tsv"
    data.write_text("".join([lines[0], *(line for line in lines if line.startswith("1\t"))]))
    done = offramp("calibrate", bundle, data)
    assert done.exit_code == 1
    assert "all held-out texts have the same label" in done.stderr
    assert (bundle / "manifest.json").read_bytes() == kept


@pytest.mark.parametrize("verb", ["evaluate", "report"])
def test_a_measure_that_a_bundle_has_not_is_refused_before_anything_is_scored(
    offramp, tmp_path, verb
):
    bundle = shutil.copytree(SHIPPED, tmp_path / "older")
    manifest = read_manifest(bundle)
    tiers = tuple(
        replace(
            tier,
            readouts={
                precision: tuple(replace(readout, score=None) for readout in found)
                for precision, found in tier.readouts.items()
            },
        )
        for tier in manifest.tiers
    )
    without = replace(manifest, tiers=tiers, id=content_id(manifest.files, tiers))
    retie_evidence(SHIPPED, manifest, bundle, without)
    write_manifest(bundle, without)
    done = offramp(verb, bundle, REVIEWS, "--confidence", "learned")
    assert done.exit_code == 1
    assert "no learned score for small, large@2" in done.stderr
    assert "offramp calibrate BUNDLE DATA" in done.stderr
    assert "texts:" not in done.stderr


def test_a_precision_that_nothing_serves_in_is_exit_code_2(offramp, tiny_bundle):
    done = offramp("calibrate", tiny_bundle, REVIEWS, "--precision", "int4")
    assert done.exit_code == 2
    assert "bf16" in done.stderr


def test_evaluating_in_a_precision_without_evidence_names_the_remedy(offramp, tiny_bundle):
    done = offramp("evaluate", tiny_bundle, REVIEWS, "--precision", "bf16")
    assert done.exit_code == 1
    assert "offramp calibrate BUNDLE DATA --precision bf16" in done.stderr
