"""How a benchmark ends: one line of JSON last, and both files."""

from __future__ import annotations

import json

from bench.publishing import Table, publish

FIGURES = {"accuracy": 0.5, "curves": {"x": [1, 2, 3]}}
TABLE = Table("Things", ["name", "value"], [["one", "1.00"], ["two", "2.00"]], "A note.")


def test_the_last_line_is_one_json_object_without_the_curves(tmp_path, capsys):
    publish("trial", "About it.", FIGURES, [TABLE], tmp_path)
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["accuracy"] == 0.5
    assert "curves" not in found


def test_the_files_say_what_on_which_machine_and_with_which_versions(tmp_path, capsys):
    publish("trial", "About it.", FIGURES, [TABLE], tmp_path)
    record = json.loads((tmp_path / "trial.json").read_text())
    assert record["curves"] == FIGURES["curves"]
    assert record["machine"]["cores"] >= 1
    assert {"cpu", "torch", "numpy", "offramp"} <= set(record["machine"])
    written = (tmp_path / "trial.md").read_text()
    assert record["machine"]["torch"] in written
    assert "| one | 1.00 |" in written
    assert written.index("## Things") < written.index("| name | value |") < written.index("A note.")
