"""The guarantee benchmark, whole, on a tiny bundle."""

from __future__ import annotations

import json
import sys

import pytest

from bench import options
from bench.guarantee import __main__ as guarantee
from tests.support.tiny import REVIEWS


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the command with arguments; return the object of its last line."""

    def call(*arguments: str) -> dict:
        out = ["--out", str(tmp_path / "out"), "--splits", "5"]
        monkeypatch.setattr(sys, "argv", ["bench", *arguments, *out])
        guarantee.main()
        (found,) = json.loads(capsys.readouterr().out.splitlines()[-1])["sets"].values()
        return found

    return call


def test_a_bundle_and_a_file_are_scored_parted_and_can_be_used_again(run, tiny_bundle, tmp_path):
    pool = str(tmp_path / "pool.safetensors")
    bundle = ["--bundle", str(tiny_bundle), "--limits", "0.005", "0.3"]
    found = run(*bundle, "--data", str(REVIEWS), "--save", pool)
    assert found["examples"] > len(REVIEWS.read_text().splitlines()) - 100
    assert (found["splits"], found["delta"], found["seed"]) == (5, 0.1, 0)
    by_case = {(c["loss"], c["limit"], c["method"]): c for c in found["cases"]}
    assert len(by_case) == 16
    assert by_case["max_disagreement", 0.3, "ltt"]["refused"] == 0
    assert by_case["max_disagreement", 0.005, "ltt"]["refused"] == 1
    assert "| ε | method |" in (tmp_path / "out/guarantee.md").read_text()
    (written,) = json.loads((tmp_path / "out/guarantee.json").read_text())["sets"].values()
    assert written["cases"] == found["cases"]
    again = run(*bundle, "--evidence", pool)
    assert again["cases"] == found["cases"]


def test_what_cannot_be_used_is_a_sentence_and_exit_code_2(
    tiny_bundle, tmp_path, monkeypatch, capsys
):
    arguments = ["--bundle", str(tiny_bundle), "--evidence", str(tmp_path / "none.npz")]
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    with pytest.raises(SystemExit) as ended:
        options.run(guarantee.main)
    assert ended.value.code == options.UNUSABLE
    assert "it must hold logits" in capsys.readouterr().err
