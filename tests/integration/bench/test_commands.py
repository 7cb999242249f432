"""The training benchmarks, whole, on tiny data: really trained, scored, timed and written down."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench.confidence import __main__ as confidence
from bench.papers import __main__ as papers
from bench.recipes import __main__ as recipes
from tests.support.tiny import REVIEWS, make_backbone
from training.compare.methods import METHODS, OURS

TRAINING_ROWS = 840
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    """A folder with one data set made of the reviews, a tiny backbone, and room for bundles."""
    folder = tmp_path_factory.mktemp("bench")
    header, *rows = REVIEWS.read_text(encoding="utf-8").splitlines()
    (folder / "data/sst2").mkdir(parents=True)
    for name, part in (("train", rows[:TRAINING_ROWS]), ("dev", rows[TRAINING_ROWS:])):
        content = "\n".join([header, *part]) + "\n"
        (folder / f"data/sst2/{name}.tsv").write_text(content, encoding="utf-8")
    make_backbone(folder / "backbone")
    return folder


@pytest.fixture
def run(workplace, monkeypatch, capsys):
    """Run a command's main with arguments; return the object of its last line."""

    def call(command, *arguments: str) -> dict:
        usual = [
            f"--data={workplace / 'data'}",
            "--sets=sst2",
            "--seeds=1",
            "--small=static",
            f"--backbone={workplace / 'backbone'}",
            f"--work={workplace / 'work'}",
            f"--out={workplace / 'out'}",
        ]
        monkeypatch.setattr(sys, "argv", ["bench", *usual, *arguments])
        command.main()
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    return call


def test_papers_compares_all_methods_and_trains_only_once(run, workplace):
    plot = workplace / "papers.svg"
    arguments = ["--timed=60", "--repeats=1", "--batch=16", f"--plot={plot}"]
    found = run(papers, *arguments)["sets"]["sst2"]
    (seed,) = found["seeds"]
    assert seed["test"] == 900 - TRAINING_ROWS
    assert {p["method"] for p in seed["points"]} >= {m.name for m in METHODS[2:]} | {OURS.name}
    assert all(point["differing"] == 0 for point in seed["points"])
    assert "<svg" in plot.read_text()
    assert "Methods at the same allowed loss" in (workplace / "out/papers.md").read_text()
    curves = json.loads((workplace / "out/papers.json").read_text())["sets"]["sst2"]["curves"]
    assert set(curves["accuracy"]) == {method.name for method in METHODS}

    again = run(papers, *arguments, "--backend=openvino")["sets"]["sst2"]
    assert all(point["differing"] == 0 for point in again["seeds"][0]["points"])
    assert again["seeds"][0]["bundle"] == seed["bundle"]
    assert [p["accuracy"] for p in again["seeds"][0]["points"]] == [
        p["accuracy"] for p in seed["points"]
    ]


def test_papers_compares_with_models_of_each_depth_trained_alone(run, workplace):
    plot = f"--plot={workplace / 'alone.svg'}"
    arguments = ["--timed=20", "--repeats=1", "--alone", plot]
    (seed,) = run(papers, *arguments)["sets"]["sst2"]["seeds"]
    alone = [p for p in seed["points"] if p["method"] == "truncated, trained alone"]
    assert alone
    assert {name for point in alone for name in point["exits"]} <= {
        "alone@1",
        "alone@2",
        "alone@3",
        "large@3",
    }


def test_confidence_takes_the_bundle_of_papers(run, workplace):
    run(papers, "--timed=20", "--repeats=1", f"--plot={workplace / 'papers.svg'}")
    before = sorted(path.name for path in (workplace / "work").iterdir())
    found = run(confidence, "--splits=2", "--with-test")["sets"]["sst2"]
    assert len(found["calibration"]) == 6
    assert set(found["thresholds"]) == {"frontier", "one global threshold", "exit shares"}
    assert before == sorted(path.name for path in (workplace / "work").iterdir())


def test_recipes_crosses_recipes_with_epochs(run):
    found = run(recipes, "--recipes=joint", "--epochs=1,2")["sets"]["sst2"]["recipes"]
    assert list(found) == ["joint, 1 epochs", "joint, 2 epochs"]
    assert [e["name"] for e in found["joint, 1 epochs"][0]["exits"]] == [
        "large@1",
        "large@2",
        "large@3",
    ]


@pytest.mark.parametrize("command", [papers, recipes, confidence], ids=lambda m: m.__package__)
def test_help_teaches_with_examples(command, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "--help"])
    with pytest.raises(SystemExit):
        command.parse()
    shown = capsys.readouterr().out
    assert f"python -m {command.__package__} --data data" in shown
    assert "--work" in shown
