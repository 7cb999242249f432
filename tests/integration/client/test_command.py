"""`offramp classify` and `offramp policy` against a scripted router."""

from __future__ import annotations

import asyncio
import json
import signal
import sys

import pytest
import yaml
from typer.testing import CliRunner

from cli.app import app
from offramp import errors


@pytest.fixture
def offramp(address, monkeypatch):
    """Run `offramp` beside the router's event loop."""
    monkeypatch.setenv("OFFRAMP_ADDRESS", address)
    monkeypatch.setenv("COLUMNS", "160")

    async def run(*arguments, **options):
        return await asyncio.to_thread(CliRunner().invoke, app, list(arguments), **options)

    return run


async def test_texts_become_a_table_with_a_summary(offramp):
    done = await offramp("classify", "one", "two")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["label", "confidence", "exit", "speedup", "text"]
    assert lines[1].split() == ["one", "0.900", "large@2", "4.0x", "one", "(cut)"]
    assert lines[3].startswith("2 texts in ")
    assert "mean speedup 4.0x · escalated 100%" in lines[3]


async def test_json_lines_are_alone_on_standard_output(offramp):
    done = await offramp("classify", "one", "two", "-o", "jsonl")
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == ["one", "two"]
    assert done.stderr.startswith("2 texts in ")


async def test_a_failed_text_is_exit_code_1_and_does_not_hide_the_others(offramp):
    done = await offramp("classify", "one", "bad one")
    assert done.exit_code == 1
    assert "one" in done.stdout
    assert "failed 1" in done.stdout
    assert done.stderr == "failed: 'bad one': input.text: is bad\n"


async def test_texts_come_from_standard_input_or_a_file(offramp, tmp_path):
    done = await offramp("classify", "-", "-o", "jsonl", input="a\n\nb\n")
    assert [json.loads(line)["label"] for line in done.stdout.splitlines()] == ["a", "b"]
    file = tmp_path / "texts.tsv"
    file.write_text("n\tsentence\n" + "".join(f"{n}\ttext {n}\n" for n in range(300)))
    done = await offramp("classify", "--file", str(file), "-o", "jsonl")
    labels = [json.loads(line)["label"] for line in done.stdout.splitlines()]
    assert labels == [f"text {n}" for n in range(300)]


async def test_a_stream_that_fails_does_not_wait_for_its_next_text():
    """`tail -f log | offramp classify -`, and no router."""
    command = [sys.executable, "-m", "cli", "classify", "-", "--address", "127.0.0.1:1"]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said = await asyncio.wait_for(process.stderr.read(), 60)
    assert await asyncio.wait_for(process.wait(), 30) == 1
    assert b"error: " in said
    assert b"Fatal" not in said


async def test_options_become_the_override(offramp, router):
    await offramp(
        "classify", "a", "--min-confidence", "0.9", "--max-cost", "0.5", "--last-exit", "large@2",
        "--route", "topics",
    )  # fmt: skip
    await offramp("classify", "a", "--full-depth", "--pair", "b")
    first, second = router.requests
    assert (first.override.min_confidence, first.override.max_cost) == (0.9, 0.5)
    assert (first.override.last_exit, first.route) == ("large@2", "topics")
    assert second.override.full_depth
    assert second.input.text_pair == "b"


async def test_a_router_that_fails_is_a_sentence(offramp, router):
    router.failures = [errors.OverloadedError("the queue is full")]
    done = await offramp("classify", "a")
    assert done.exit_code == 1
    assert done.stderr == "error: the queue is full\n"


async def test_show_prints_thresholds_forecast_and_live_figures(offramp):
    done = await offramp("policy", "show")
    assert done.exit_code == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["small", "0.9300", "70.0%", "60.0%"] in rows
    assert ["large@2", "never", "30.0%", "0.0%"] in rows
    assert ["speedup", "5.00x", "4.20x"] in rows
    assert ["escalated", "30.0%", "40.0%"] in rows


@pytest.mark.parametrize("verb", [["show"], ["check", "--confidence", "margin"]])
async def test_what_was_certified_is_shown_in_plain_words(offramp, admin, verb):
    before = await offramp("policy", *verb)
    assert "guarantee" not in before.stdout
    admin.yaml = "objective: {max_disagreement: 0.02, method: wsr, confidence: 0.9}"
    done = await offramp("policy", *verb)
    assert done.exit_code == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "guarantee: at most 2% of answers differ from full depth, with confidence 0.9" in said
    assert "(wsr on 1,500 texts: seen 1.20, bound 1.89)" in said
    assert "not cut short by max_cost, last_exit or time" in said


async def test_set_changes_the_objective_and_keeps_the_rest(offramp, admin):
    admin.yaml = "objective: {speedup: 5}\non_tier_loss: fail\n"
    done = await offramp("policy", "set", "--objective", "threshold: 0.8", "--ttl", "5m")
    assert done.exit_code == 0, done.stderr
    assert "policy version 2 is in force" in done.stdout
    assert yaml.safe_load(admin.yaml) == {"objective": {"threshold": 0.8}, "on_tier_loss": "fail"}
    assert admin.requests[-1].ttl.seconds == 300


async def test_check_shows_both_policies_and_sets_none(offramp, admin):
    done = await offramp("policy", "check", "--confidence", "entropy")
    assert done.exit_code == 0, done.stderr
    assert "in force" in done.stdout
    assert "checked" in done.stdout
    assert type(admin.requests[-1]).__name__ == "CheckPolicyRequest"
    assert admin.version == 1


def _interruptible() -> None:
    """What runs in the background of a script ignores interrupts, and passes that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def test_an_interrupt_is_exit_code_130_and_no_trace(address, router):
    router.hold.clear()
    command = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli", "classify", "--address", address, "one", "two",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, preexec_fn=_interruptible,
    )  # fmt: skip
    async with asyncio.timeout(60):
        while not router.requests:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        command.send_signal(signal.SIGINT)
        said = await command.communicate()
    assert command.returncode == 130
    assert said == (b"", b"")
