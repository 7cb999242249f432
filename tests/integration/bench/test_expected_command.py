"""The benchmark of expected losses, whole, on a tiny bundle."""

from __future__ import annotations

import json
import sys

import pytest

from bench import options
from bench.expected import __main__ as expected
from tests.support.tiny import REVIEWS


@pytest.fixture
def arguments(tiny_bundle, tmp_path, monkeypatch):
    """Give the command arguments, beside those that it needs anyway."""

    def give(*more: str) -> None:
        needed = ["--bundle", str(tiny_bundle), "--data", str(REVIEWS)]
        out = ["--out", str(tmp_path / "out"), "--draws", "3"]
        monkeypatch.setattr(sys, "argv", ["bench", *needed, *out, *more])

    return give


def test_losses_are_counted_for_both_rules_and_kept(arguments, tmp_path, capsys):
    arguments("--sizes", "40", "80", "--limits", "0", "0.1")
    expected.main()
    (found,) = json.loads(capsys.readouterr().out.splitlines()[-1])["sets"].values()
    assert (found["draws"], found["seed"], len(found["cases"])) == (3, 0, 8)
    by_case = {(c["examples"], c["limit"], c["rule"]): c for c in found["cases"]}
    assert len(by_case) == 8
    assert all(0 < case["cost"] <= 1.5 for case in by_case.values())
    assert "| texts drawn | limit |" in (tmp_path / "out/expected.md").read_text()


def test_more_texts_than_there_are_is_a_sentence_and_exit_code_2(arguments, capsys):
    arguments("--sizes", "100000")
    with pytest.raises(SystemExit) as ended:
        options.run(expected.main)
    assert ended.value.code == options.UNUSABLE
    assert "--sizes 100000: there are" in capsys.readouterr().err
