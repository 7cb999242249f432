"""How a benchmark ends: one line of JSON last, and both files, which keep sets of earlier runs."""

from __future__ import annotations

import json

import pytest

from bench.publishing import Part, Table, publish
from offramp.errors import OfframpError

COLUMNS = ["name", "value"]
TABLE = Table("Things", COLUMNS, [["one", "1.00"], ["two", "2.00"]], "A note.")
PART = Part({"accuracy": 0.5, "curves": {"x": [1, 2, 3]}}, [TABLE])
OTHER = Part({"accuracy": 0.7}, [Table("Things", COLUMNS, [["three", "3.00"]], "A note.")])


def test_the_last_line_is_one_json_object_without_the_curves(tmp_path, capsys):
    publish("trial", "About it.", {"first": PART}, tmp_path)
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["sets"]["first"]
    assert found["accuracy"] == 0.5
    assert "curves" not in found


def test_the_files_say_what_on_which_machine_and_with_which_versions(tmp_path):
    record = publish("trial", "About it.", {"first": PART}, tmp_path)["sets"]["first"]
    assert json.loads((tmp_path / "trial.json").read_text())["sets"]["first"] == record
    assert record["curves"] == PART.figures["curves"]
    assert record["machine"]["cores"] >= 1
    assert {"cpu", "python", "torch", "numpy", "offramp"} <= set(record["machine"])
    written = (tmp_path / "trial.md").read_text()
    assert f"| {record['machine']['python']} | {record['machine']['torch']} |" in written
    assert "| one | 1.00 |" in written
    assert written.index("## Things") < written.index("| name | value |") < written.index("A note.")


def test_a_run_adds_its_sets_to_those_of_earlier_runs(tmp_path, capsys):
    publish("trial", "About it.", {"first": PART}, tmp_path)
    publish("trial", "About it.", {"second": OTHER}, tmp_path)
    assert list(json.loads(capsys.readouterr().out.splitlines()[-1])["sets"]) == ["second"]
    record = json.loads((tmp_path / "trial.json").read_text())["sets"]
    assert {name: found["accuracy"] for name, found in record.items()} == {
        "first": 0.5,
        "second": 0.7,
    }
    written = (tmp_path / "trial.md").read_text()
    assert written.count("## Things") == 1
    assert written.index("| one | 1.00 |") < written.index("| three | 3.00 |")


def test_notes_of_sets_that_were_not_measured_alike_all_stay(tmp_path):
    other = Part({}, [Table("Things", COLUMNS, [["three", "3.00"]], "Another note.")])
    publish("trial", "About it.", {"first": PART, "second": other}, tmp_path)
    written = (tmp_path / "trial.md").read_text()
    assert written.count("## Things") == 1
    assert written.index("| three | 3.00 |") < written.index("A note.")
    assert written.index("one, two: A note.") < written.index("three: Another note.")


def test_the_page_says_which_seeds(tmp_path):
    of = {"a": {"seed": 3}, "b": {"seeds": [0, 1]}, "c": {"seeds": [{"seed": 2}]}, "d": {}}
    publish("trial", "", {name: Part(found, [TABLE]) for name, found in of.items()}, tmp_path)
    rows = (tmp_path / "trial.md").read_text().split("## Where and when")[1].splitlines()[4:]
    assert [row.split(" | ")[1] for row in rows] == ["3", "0, 1", "2", "–"]


def test_a_run_replaces_what_an_earlier_one_said_of_the_same_set(tmp_path):
    publish("trial", "About it.", {"first": PART}, tmp_path)
    publish("trial", "About it.", {"first": OTHER}, tmp_path)
    assert "| one | 1.00 |" not in (tmp_path / "trial.md").read_text()


@pytest.mark.parametrize("content", ['{"mine": 1}', '{"sets": {"first": {"accuracy": 1}}}', "["])
def test_a_file_of_something_else_is_not_written_over(content, tmp_path):
    (tmp_path / "trial.json").write_text(content)
    with pytest.raises(OfframpError, match="another folder with --out"):
        publish("trial", "About it.", {"first": PART}, tmp_path)
    assert (tmp_path / "trial.json").read_text() == content
