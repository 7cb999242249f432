"""`offramp train` and `offramp evaluate`: options become settings, and the bundle serves."""

from __future__ import annotations

import json
import shutil

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
        "--small", "static",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert f"offramp up --bundle {out}" in done.stdout
    report = tmp_path / "mine-report.html"
    assert f"report: {report}\n" in done.stdout
    assert "labelled <b>good</b>" in report.read_text(encoding="utf-8")
    manifest = read_manifest(out)
    assert manifest.name == "films"
    assert manifest.labels == ("bad", "good")
    assert [e.name for tier in manifest.tiers for e in tier.exits] == [
        "small",
        "large@1",
        "large@3",
    ]
    assert {tier.max_tokens for tier in manifest.tiers} == {32}
    assert {"small/openvino/stage0.xml", "large/openvino/stage1.xml"} < manifest.files.keys()


def test_every_row_counts_also_where_texts_come_twice(offramp, tiny_bundle, tmp_path):
    data = tmp_path / "twice.tsv"
    rows = [("0", "dull"), ("1", "dull"), *[("1", "a gorgeous film")] * 3, ("0", "a gorgeous film")]
    data.write_text("".join(f"{a}\t{b}\n" for a, b in [("label", "text"), *rows]))
    done = offramp("evaluate", tiny_bundle, data, "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["examples"] == 6
    accuracies = {round(6 * one["accuracy"], 9) for one in found["exits"]}
    assert accuracies <= {2, 4}, "one right of 'dull', three or one of the other"


def test_a_bundle_whose_record_is_cut_off_is_told(offramp, tiny_bundle, tmp_path):
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    (bundle / "training.json").write_text('{"data": ')
    done = offramp("evaluate", bundle, REVIEWS)
    assert done.exit_code == 1
    assert "training.json cannot be read" in done.stderr


def test_the_folder_that_one_stands_in_is_no_place_for_a_bundle(offramp):
    done = offramp("train", REVIEWS, "--out", ".")
    assert done.exit_code == 1
    assert "exists already; choose another --out" in done.stderr


def test_brackets_in_labels_and_folders_are_shown_as_they_are(offramp, tmp_path, backbone):
    out = tmp_path / "[b]mine"
    chosen = ("--out", out, "--name", "mine", "--backbone", backbone, "--exits", "3", "--epochs", 1,
              "--small", "static", "--small-epochs", 1, "--rename", "0=[/b]",
              "--rename", "1=[spam]",
              "--threads", 1, "--report", "none", "--no-export")  # fmt: skip
    dry = offramp("train", REVIEWS, *chosen, "--dry-run")
    assert dry.exit_code == 0, dry.stderr
    assert "\n[/b] " in dry.stdout
    assert "\n[spam] " in dry.stdout
    done = offramp("train", REVIEWS, *chosen)
    assert f"is in {out}\n" in done.stderr


def test_a_dry_run_says_what_would_be_done_and_does_nothing(offramp, tmp_path, backbone):
    unlabelled = tmp_path / "more.txt"
    unlabelled.write_text("one more text\n")
    out = tmp_path / "mine"
    done = offramp(
        "train", REVIEWS, "--out", out, "--backbone", backbone, "--dry-run", "--exits", "all",
        "--unlabelled", unlabelled, "--rename", "0=bad", "--threads", 1,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "2 labels: 731 texts to train on, 144 held out to calibrate" in said
    assert "label to train on held out " in said
    assert "tokens: half of the held-out texts have " in said
    assert "unlabelled: 1 texts" in said
    assert "exits at layers 1, 2, 3" in said
    assert "time: very roughly" in said
    assert "of it for the large tier" in said
    assert "nothing was trained" in said
    assert not out.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["more.txt"]


def test_a_dry_run_names_no_time_for_a_large_tier_that_is_taken(offramp, tiny_bundle, tmp_path):
    done = offramp(
        "train", REVIEWS, "--out", tmp_path / "mine", "--dry-run", "--large-tier", tiny_bundle,
        "--hold-out", 0.3, "--rename", "0=negative", "--rename", "1=positive", "--threads", 1,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert f"large tier: that of {tiny_bundle}, as it is" in said
    assert "time: very roughly" in said
    assert "of it for the large tier" not in said


def test_the_words_of_the_command_are_those_that_training_knows():
    from cli.train import options, written
    from training import balance, device
    from training.recipes import RECIPES
    from training.students import fresh

    assert {word.value for word in options.Recipe} == set(RECIPES)
    assert {word.value for word in options.Balance} == set(balance.POWERS)
    assert {word.value for word in options.Device} == set(device.CHOICES)
    assert set(written.STUDENTS) == {*fresh.KINDS, "auto"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--small", "recurrent"), {"small": {"kind": "recurrent"}}),
        (("--small", "org/name"), {"small": {"classifier": "org/name"}}),
        (
            ("--small", "shallow", "--small-layers", "2", "--small-width", "64"),
            {"small": {"kind": "shallow", "layers": 2, "narrow": 64}},
        ),
        (
            ("--exits", "auto", "--keep", "0.8,0.5"),
            {"large": {"exits": "auto", "keep": (0.8, 0.5)}},
        ),
        (("--recipe", "sweet", "--learning-rate", "3e-5"), {"large": {"recipe": "sweet"}}),
        (("--bf16", "--device", "cpu", "--balance", "sqrt"), {"bf16": True, "balance": "sqrt"}),
        (("--validation", "v.csv", "--checkpoint", "c"), {"validation": "v.csv"}),
    ],
)
def test_options_become_settings(offramp, tmp_path, monkeypatch, arguments, expected):
    from training import train

    runs = []
    monkeypatch.setattr(train, "run", runs.append)
    done = offramp("train", "nyu-mll/glue:sst2@validation", "--out", tmp_path / "new", *arguments)
    assert done.exit_code == 0, done.stderr
    assert runs[0].data == "nyu-mll/glue:sst2@validation"
    for name, value in expected.items():
        found = getattr(runs[0], name)
        if isinstance(value, dict):
            found = {field: getattr(found, field) for field in value}
        assert found == value


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--exits", "1,x", "2,3,4,6"),
        ("--keep", "0.5,2", "0.8,0.6,0.5"),
        ("--rename", "negative", "0=negative"),
        ("--epochs", "0", ""),
        ("--recipe", "sour", "taught"),
    ],
)
def test_an_option_that_makes_no_sense_is_exit_code_2(offramp, tmp_path, option, value, message):
    done = offramp("train", REVIEWS, "--out", tmp_path / "new", option, value)
    assert done.exit_code == 2
    assert message in done.stderr


def test_data_that_cannot_be_used_is_a_sentence(offramp, tmp_path):
    data = tmp_path / "d.csv"
    data.write_text("stars,words\n5,good\n")
    done = offramp("train", data, "--out", tmp_path / "new")
    assert done.exit_code == 1
    assert "error: " in done.stderr
    assert "the columns are 'stars', 'words'; name one with --label-column" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_output_folder_that_exists_is_kept(offramp, tmp_path):
    done = offramp("train", REVIEWS, "--out", tmp_path)
    assert done.exit_code == 1
    assert "exists already" in done.stderr


def test_a_bundle_that_is_there_already_can_be_reported_on(offramp, tiny_bundle):
    done = offramp("train", REVIEWS, "--out", tiny_bundle)
    assert done.exit_code == 1
    assert f"offramp report {tiny_bundle}" in " ".join(done.stderr.split())


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


def test_sizes_of_a_shallow_student_are_refused_for_another(offramp, tmp_path):
    done = offramp(
        "train", REVIEWS, "--out", tmp_path / "mine", "--small", "conv", "--small-width", 64
    )
    assert done.exit_code == 2
    assert "--small-width: only for --small shallow" in " ".join(done.stderr.split())
