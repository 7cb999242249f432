"""Answers as table rows, JSON lines and a summary."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from rich.console import Console

from cli.answers import Tally, failure_line, json_line, row, table
from offramp.client import Classification, Cost, ItemFailure, Outcome, Timing
from offramp.errors import InvalidRequestError, Violation


@pytest.fixture
def answer() -> Classification:
    return Classification(
        label="positive",
        confidence=0.95,
        probabilities={"positive": 0.95, "negative": 0.05},
        exit="small",
        outcome=Outcome.CONFIDENT,
        escalated=False,
        cost=Cost(1.0, 40.0, 0.1, 0.4, 0.025, 40.0),
        thresholds={"small": 0.9},
        steps=(),
        timing=Timing(0.01, ()),
        bundle_id="b",
        policy_version=1,
        route="sentiment",
        tokens=3,
        truncated=False,
    )


@pytest.fixture
def failure() -> ItemFailure:
    return ItemFailure(InvalidRequestError([Violation("input.text", "is empty; send a text")]))


def printed(*rows) -> str:
    made = table()
    for cells in rows:
        made.add_row(*cells)
    console = Console(width=60, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(made)
    console.file.close()
    return console.export_text()


def test_a_row_says_label_confidence_exit_speedup_and_text(answer):
    line = printed(row("a\n fine  [b]film[/b]", answer)).splitlines()[1]
    assert line.split() == ["positive", "0.950", "small", "40.0x", "a", "fine", "[b]film[/b]"]


def test_a_long_text_never_costs_the_figures_their_room(answer):
    line = printed(row("word " * 100, answer)).splitlines()[1]
    assert line.split()[:4] == ["positive", "0.950", "small", "40.0x"]
    assert line.rstrip().endswith("…")


def test_a_row_shows_what_should_not_be_overlooked(answer):
    marked = replace(answer, outcome=Outcome.DEGRADED, truncated=True)
    shown = printed(row("text", marked))
    assert "(degraded)" in shown
    assert "(cut)" in shown


def test_a_json_line_holds_the_whole_answer_and_its_text(answer):
    content = json.loads(json_line(("a", "é"), answer))
    assert content["text"] == "a"
    assert content["text_pair"] == "é"
    assert content["outcome"] == "confident"
    assert content["cost"]["speedup"] == 40.0
    assert content["probabilities"] == {"positive": 0.95, "negative": 0.05}


def test_a_failure_names_code_field_and_remedy(failure):
    content = json.loads(json_line("", failure))
    assert content["error"]["code"] == "INVALID_ARGUMENT"
    assert content["error"]["violations"] == [
        {"field": "input.text", "description": "is empty; send a text"}
    ]
    assert failure_line("", failure) == "failed: '': input.text: is empty; send a text"


def test_the_summary_weighs_speedup_by_cost_and_counts_exits_in_order(answer, failure):
    deep = replace(answer, exit="large@2", escalated=True, cost=replace(answer.cost, flops=19.0))
    tally = Tally()
    for result in (deep, answer, failure):
        tally.add(result)
    assert tally.sentence(1.5) == (
        "3 texts in 1.50 s · exits: small 50%, large@2 50% · mean speedup 4.0x"
        " · escalated 50% · failed 1"
    )


def test_exits_stand_by_depth(answer):
    tally = Tally()
    for name in ("large@10", "large@2", "small"):
        tally.add(replace(answer, exit=name))
    assert "small 33%, large@2 33%, large@10 33%" in tally.sentence(1.0)
