"""Checkouts side by side: whose code runs, and what the rounds come to."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from bench import revisions
from bench.revisions import Turn
from offramp.errors import OfframpError

ROOT = Path(__file__).resolve().parents[3]
BEFORE, AFTER = Path("before"), Path("after")


def turns(*all_ms: float) -> list[Turn]:
    return [Turn({"small": ms / 2, "router": ms / 2}, {"small": 3.0}, 10 * ms, 0) for ms in all_ms]


def test_services_run_the_code_of_their_checkout_wherever_they_are_started(tmp_path: Path) -> None:
    (tmp_path / "offramp").mkdir()
    (tmp_path / "offramp" / "__init__.py").write_text("print('of the checkout')")
    environment = dict(os.environ)
    command = [sys.executable, "-m", "offramp"]
    with revisions._code_from(tmp_path):
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == "of the checkout"
    assert dict(os.environ) == environment


def test_medians_are_compared_with_the_first_checkout_at_as_many_in_flight() -> None:
    rows = revisions.summary(
        {
            (64, BEFORE): turns(2.0, 9.0, 2.2),
            (64, AFTER): turns(1.1, 1.0, 5.0),
            (1, BEFORE): turns(8.0),
            (1, AFTER): turns(10.0),
        }
    )
    found = [(row["in_flight"], row["tree"], row["change"]) for row in rows]
    assert found == [
        (1, "before", 0.0),
        (1, "after", pytest.approx(0.25)),
        (64, "before", 0.0),
        (64, "after", pytest.approx(-0.5)),
    ]
    assert rows[2]["cpu_ms"] == pytest.approx({"small": 1.1, "router": 1.1})
    output = io.StringIO()
    revisions.show(rows, Console(file=output, width=150))
    assert "-50%" in output.getvalue()


def test_what_is_no_checkout_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--data=x.tsv", f"--trees={tmp_path}"])
    with pytest.raises(OfframpError, match="no checkout"):
        revisions.parse()
