"""What is said of the contenders."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bench.peers import __main__ as peers
from bench.peers.__main__ import CASCADE, PIPELINE, Options, part
from bench.peers.contenders import PEERS
from bench.peers.environment import Environment
from bench.peers.runs import Load, Run, measured

OPTIONS = Options(Path("a"), Path("b"), ("mosec",), 64, 5.0, 2, 32, 0, Path("c"), Path("d"))


def make_run(cpu_ms, p50=None):
    return Run(100, 50.0, cpu_ms, 300.0, p50, p50, 0.9)


def test_times_are_those_of_the_pipeline_and_who_fell_out_is_named():
    runs = {PIPELINE: [make_run(10.0), make_run(12.0)], CASCADE: [make_run(1.0, 5.0)] * 2}
    found = part("sst2", runs, {"mosec": "did not come up"}, OPTIONS)
    rows = found.tables[0].rows
    assert [row[1:4] for row in rows] == [
        ["Hugging Face pipeline, PyTorch fp32, in process", "11.00 (10.00 to 12.00)", "1.0x"],
        ["this project, the cascade", "1.00 (1.00 to 1.00)", "11.0x"],
        ["mosec, PyTorch fp32", "did not come up", "–"],
    ]
    assert [row[5] for row in rows[:2]] == ["–", "5.0"]
    assert all(len(row) == len(found.tables[0].columns) for row in rows)
    assert found.figures["failed"] == {"mosec": "did not come up"}


def test_both_settings_of_the_cascade_are_asked_one_by_one_and_in_bulk(monkeypatch):
    asked, bulk = {}, ", in calls of 64 texts"

    async def run_ours(bundle, load, *, full_depth=False, allowed=None):
        asked[peers.TITLES[name]] = (load.calls, load.per_call, full_depth, allowed)
        return make_run(1.0)

    monkeypatch.setattr(peers, "run_ours", run_ours)
    load = Load(["some text"], ["a"], calls=8, seconds=1.0, rows=32)
    ours = [name for name, title in peers.TITLES.items() if title.startswith("this project")]
    for name in ours:
        asyncio.run(peers._run(name, Path("model"), load, OPTIONS))
    assert asked == {
        "this project at full depth": (8, 1, True, None),
        "this project, the cascade": (8, 1, False, None),
        "this project, the cascade allowed half a point": (8, 1, False, 0.005),
        f"this project, the cascade{bulk}": (16, 64, False, None),
        f"this project, the cascade allowed half a point{bulk}": (16, 64, False, 0.005),
    }


def test_a_peer_that_cannot_be_installed_loses_its_own_row_only(monkeypatch, tmp_path):
    nowhere = Environment("triton", ("/no/such/python",), ("nvidia-pytriton",))
    monkeypatch.setitem(PEERS, "triton", replace(PEERS["triton"], environment=nowhere))
    monkeypatch.setattr(peers, "labelled_texts", lambda *_: (["some text"], ["a"]))
    monkeypatch.setattr(peers.full_depth, "write", lambda *_: None)

    async def ran(*_, **__):
        return make_run(1.0)

    monkeypatch.setattr(peers, "run_ours", ran)
    monkeypatch.setattr(peers, "run_pipeline", ran)
    options = replace(OPTIONS, peers=("triton",), work=tmp_path)
    runs, failed = asyncio.run(peers.measure(options))
    assert failed == {"triton": "triton needs /no/such/python"}
    assert len(runs[peers.PIPELINE]) == len(runs[CASCADE]) == OPTIONS.rounds


def test_labels_are_read_from_what_a_peer_answers():
    scores = [{"label": "b", "score": 0.3}, {"label": "a", "score": 0.7}]
    answers = {
        "infinity": {"data": [scores, scores[:1]]},
        "mosec": {"label": "a"},
        "triton": {"outputs": [{"name": "label", "data": ["a", "b"]}]},
    }
    for name, answer in answers.items():
        labels = PEERS[name].labels(answer)
        assert labels == ["a", "b"][: len(labels)]
        sent = ["some text", "another"][: len(labels)]
        assert all(text in str(PEERS[name].body(sent)) for text in sent)


def test_in_bulk_every_text_of_a_call_is_counted_and_kept_with_its_own_label(monkeypatch):
    monkeypatch.setattr("bench.peers.runs.WARM_UP_SECONDS", 0.1)
    texts = [f"text {place}" for place in range(5)]
    load = Load(texts, ["even", "odd"] * 2 + ["odd"], calls=2, seconds=0.1, rows=4, per_call=2)

    async def ask(sent):
        assert len(sent) <= 2
        await asyncio.sleep(0.001)
        return ["odd" if int(text.split()[1]) % 2 else "even" for text in sent]

    async def spent():
        return next(seconds), 1e6

    seconds = iter([1.0, 3.0])
    found = asyncio.run(measured(ask, load, spent))
    assert found.accuracy == 0.8
    assert found.cpu_ms * found.answered == pytest.approx(2000)
    assert found.answered > 2 * 5


def test_accuracy_is_over_all_texts_also_where_the_load_ends_before_they_do(monkeypatch):
    monkeypatch.setattr("bench.peers.runs.WARM_UP_SECONDS", 0.0)
    texts = [f"text {place}" for place in range(40)]
    load = Load(texts, ["right"] * 10 + ["other"] * 30, calls=2, seconds=0.02, rows=4)

    async def ask(sent):
        await asyncio.sleep(0.01)
        return ["right"] * len(sent)

    async def spent():
        return next(seconds), 1e6

    seconds = iter([1.0, 3.0])
    found = asyncio.run(measured(ask, load, spent))
    assert found.answered < 20
    assert found.accuracy == 0.25
