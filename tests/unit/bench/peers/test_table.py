"""What is said of the contenders."""

from pathlib import Path

from bench.peers.__main__ import CASCADE, PIPELINE, Options, part
from bench.peers.contenders import PEERS
from bench.peers.runs import Run

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


def test_a_label_is_read_from_what_a_peer_answers():
    answers = {
        "infinity": {"data": [[{"label": "b", "score": 0.3}, {"label": "a", "score": 0.7}]]},
        "mosec": {"label": "a"},
        "triton": {"outputs": [{"name": "label", "data": ["a"]}]},
    }
    for name, answer in answers.items():
        assert PEERS[name].label(answer) == "a"
        assert "some text" in str(PEERS[name].body("some text"))
