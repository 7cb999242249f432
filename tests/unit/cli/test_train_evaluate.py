"""`offramp train` and `offramp evaluate`: options become settings, and the bundle serves."""

from __future__ import annotations

import json

import pytest

from offramp.bundle import read_manifest
from tests.support.tiny import REVIEWS, make_backbone


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return make_backbone(tmp_path_factory.mktemp("backbone"))


def test_a_bundle_is_trained_as_the_options_say(offramp, tmp_path, backbone):
    out = tmp_path / "mine"
    done = offramp(
        "train", REVIEWS, "--out", out, "--backbone", backbone, "--exits", "3,1", "--epochs", 1,
        "--small-epochs", 1, "--hold-out", 0.4, "--max-tokens", 32, "--threads", 1,
        "--rename", "0=bad", "--rename", "1=good", "--precision", "fp32", "--name", "films",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert f"offramp up --bundle {out}" in done.stdout
    manifest = read_manifest(out)
    assert manifest.name == "films"
    assert manifest.labels == ("bad", "good")
    assert [e.name for tier in manifest.tiers for e in tier.exits] == [
        "small",
        "large@1",
        "large@3",
    ]
    assert {tier.max_tokens for tier in manifest.tiers} == {32}


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [("--exits", "1,x", "2,3,4,6"), ("--rename", "negative", "0=negative"), ("--epochs", "0", "")],
)
def test_an_option_that_makes_no_sense_is_exit_code_2(offramp, tmp_path, option, value, message):
    done = offramp("train", REVIEWS, "--out", tmp_path / "new", option, value)
    assert done.exit_code == 2
    assert message in done.stderr


def test_an_output_folder_that_exists_is_kept(offramp, tmp_path):
    done = offramp("train", REVIEWS, "--out", tmp_path)
    assert done.exit_code == 1
    assert "exists already" in done.stderr


def test_figures_of_a_bundle_come_as_tables(offramp, tiny_bundle):
    done = offramp("evaluate", tiny_bundle, REVIEWS)
    assert done.exit_code == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[0] for row in rows if row and row[0] in ("small", "large@1", "large@3")] == [
        "small",
        "large@1",
        "large@3",
    ]
    assert any(row[:1] == ["speedup:"] for row in rows)


def test_figures_of_a_bundle_come_as_json(offramp, tiny_bundle):
    done = offramp("evaluate", tiny_bundle, REVIEWS, "--json", "--confidence", "margin")
    assert done.exit_code == 0, done.stderr
    figures = json.loads(done.stdout)
    assert 0.5 < figures["full_accuracy"] <= 1
    assert [e["name"] for e in figures["exits"]] == ["small", "large@1", "large@2", "large@3"]


def test_an_unknown_measure_names_those_there_are(offramp, tiny_bundle):
    done = offramp("evaluate", tiny_bundle, REVIEWS, "--confidence", "vibes")
    assert done.exit_code == 2
    assert "max_prob, margin, entropy" in done.stderr
