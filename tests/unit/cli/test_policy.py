"""The policy verbs: what options ask for, and the dial without a router."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
import typer
from rich.console import Console

from cli.policy import tables
from cli.policy.check import _spread
from cli.policy.wanted import changed, duration
from offramp.client import Audits, RouteStatus
from offramp.decision.simulate import Forecast
from training.figures import DialPoint


@pytest.mark.parametrize(
    ("written", "seconds"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("1.5d", 129_600)]
)
def test_times_are_read(written, seconds):
    assert duration(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize("written", ["", "10", "m", "10 m", "10x", "-5s"])
def test_what_is_no_time_says_how_to_write_one(written):
    with pytest.raises(typer.BadParameter, match="10m"):
        duration(written)


CURRENT = "objective: {speedup: 5}\nconfidence: margin\non_tier_loss: fail\n"


def test_an_objective_replaces_the_objective_and_keeps_the_rest():
    assert changed(CURRENT, "threshold: 0.9", None, None) == {
        "objective": {"threshold": 0.9},
        "confidence": "margin",
        "on_tier_loss": "fail",
    }


def test_a_measure_alone_keeps_the_objective():
    assert changed(CURRENT, None, "entropy", None)["objective"] == {"speedup": 5}


def test_a_file_replaces_everything(tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text("objective: {mean_cost: 0.2}\n")
    assert changed(CURRENT, None, None, file) == {"objective": {"mean_cost": 0.2}}
    with pytest.raises(typer.BadParameter, match="not both"):
        changed(CURRENT, "speedup: 3", None, file)


@pytest.mark.parametrize("objective", ["5", "speedup 5", "{speedup: 5"])
def test_an_objective_that_is_no_mapping_shows_one(objective):
    with pytest.raises(typer.BadParameter):
        changed(CURRENT, objective, None, None)


def test_nothing_to_change_is_a_usage_error():
    with pytest.raises(typer.BadParameter, match="nothing to change"):
        changed(CURRENT, None, None, None)


def test_the_dial_spreads_over_all_settings_there_are():
    few = [1.0, 2.0, 3.0]
    assert _spread(few) == few
    many = [1 + step / 100 for step in range(500)]
    chosen = _spread(many)
    assert len(chosen) == 12
    assert chosen == sorted(set(chosen))
    assert (chosen[0], chosen[-1]) == (many[0], many[-1])


def test_a_spread_over_crowded_settings_still_has_all_its_rows():
    crowded = [1 + step / 1000 for step in range(20)] + [50.0]
    assert len(_spread(crowded)) == 12


def test_a_dial_of_five_exits_is_whole_in_a_narrow_terminal():
    names = ("small", "large@2", "large@3", "large@4")
    point = DialPoint(12.34, dict.fromkeys(names, 0.98765), 0.9123, 11.987, 0.0834, 1.0, {})
    console = Console(width=80, file=io.StringIO())
    console.print(tables.dial([point]))
    header, row = console.file.getvalue().splitlines()
    assert header.split() == ["speedup:", *names, "accuracy", "speedup", "escalated"]
    assert row.split() == ["12.34", *["0.9877"] * 4, "0.9123", "11.99x", "100.0%"]


def test_what_does_not_fit_is_folded_and_not_cut_off():
    console = Console(width=20, file=io.StringIO())
    table = tables.plain_table("exit", "something_long")
    table.add_row("an_exit_of_a_name", "0.123456789")
    console.print(table)
    shown = "".join(console.file.getvalue().split())
    assert "…" not in shown
    assert len(shown) == len("exitsomething_longan_exit_of_a_name0.123456789")


def rows(output: str) -> list[list[str]]:
    lines = output.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("speedup:"))
    return [line.split() for line in lines[start + 1 :] if line.strip()]


def test_the_dial_of_a_bundle_needs_no_router_and_is_monotone_in_cost(offramp, tiny_bundle):
    done = offramp("policy", "check", "--bundle", tiny_bundle)
    assert done.exit_code == 0, done.stderr
    dial = rows(done.stdout)
    assert len(dial) >= 10
    settings = [float(row[0]) for row in dial]
    speedups = [float(row[-2].rstrip("x")) for row in dial]
    assert settings == sorted(settings)
    assert speedups == sorted(speedups)
    for setting, row in zip(settings, dial, strict=True):
        assert float(row[-2].rstrip("x")) >= setting - 0.01


def test_a_policy_is_forecast_on_a_bundle(offramp, tiny_bundle):
    done = offramp("policy", "check", "--bundle", tiny_bundle, "--objective", "threshold: 0.0")
    assert done.exit_code == 0, done.stderr
    small = next(line for line in done.stdout.splitlines() if line.startswith("small"))
    assert small.split() == ["small", "always", "100.0%"]


def test_a_guarantee_is_told_in_plain_words(offramp, tiny_bundle):
    asked = "{max_disagreement: 0.3, confidence: 0.7}"
    done = offramp("policy", "check", "--bundle", tiny_bundle, "--objective", asked)
    assert done.exit_code == 0, done.stderr
    promise = (
        "guarantee: at most 30% of answers differ from full depth, with confidence 0.7 (ltt on"
    )
    assert promise in done.stdout


def test_evidence_too_thin_for_a_guarantee_says_how_many_texts_would_do(offramp, tiny_bundle):
    asked = "max_accuracy_loss: 0.001"
    done = offramp("policy", "check", "--bundle", tiny_bundle, "--objective", asked)
    assert done.exit_code == 1
    assert "about 2,995 would do: take evidence on more labelled texts" in done.stderr


def test_an_objective_out_of_reach_says_what_the_cascade_can_do(offramp, tiny_bundle):
    done = offramp("policy", "check", "--bundle", tiny_bundle, "--objective", "speedup: 100000")
    assert done.exit_code == 1
    assert "below what this cascade can do" in done.stderr


def test_audits_are_told_with_what_they_prove():
    audits = Audits(audited=1200, agreed=1176, agreement_ratio=0.98, agreement_lower_bound=0.9721)
    live = RouteStatus("r", "b", 1, 0, 0.0, 0.0, {}, guarantee=None, audits=audits)
    console = Console(file=io.StringIO(), width=200)
    forecast = Forecast(0.9, 0.9, 0.0, 0.5, {"small": 0.5, "large@2": 0.5}, 0.5, 100)
    tables.show(console, {"small": 0.9, "large@2": 0.0}, {"forecast": forecast}, None, live)
    written = console.file.getvalue()
    assert "98.00% of 1,200 early answers" in written
    assert "at least 97.21% of all, with 95% confidence" in written
