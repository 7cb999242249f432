"""What the tables of load say of runs."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.load.generator import Sent
from bench.load.summary import summarise
from bench.load.tables import calls, goodput, idle, in_flight, memory
from bench.load.tables.__main__ import TABLES, _numbers
from bench.load.tables.setting import Setting
from bench.load.usage import Usage, batch_sizes, spent
from bench.load.watch import Seen
from bench.options import names_of

SETTING = Setting("reviews", Path("bundle"), None, ["a", "b"], ["yes", "no"], 0.1, seed=0)


def summary(*latencies, error=""):
    found = [Sent(i % 2, 0.0, 0.0, s, "yes", "small", error) for i, s in enumerate(latencies)]
    return summarise(found, SETTING.labels, SETTING.objective_seconds)


def usage(cpu_seconds, rows, batches):
    return Usage(cpu_seconds, 5e6, rows, batches)


def test_goodput_is_compared_at_its_most_not_at_one_rate():
    found = {
        goodput.FULL: {10.0: summary(0.05, 1.0), 20.0: summary(1.0, 1.0)},
        goodput.CASCADE: {10.0: summary(0.05, 1.0), 20.0: summary(0.05, 0.5, 0.05, 0.05, 1.0)},
    }
    part = goodput.part(SETTING, found)
    assert part.figures["times_full_depth"] == pytest.approx(3.0)
    (table,) = part.tables
    bold = [(row[1], row[2]) for row in table.rows if "**" in row[3]]
    assert bold == [("10", goodput.FULL), ("20", goodput.CASCADE)]
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_texts_that_nobody_answered_are_given_up():
    refused = summary(2.0, 2.0, error="DEADLINE_EXCEEDED")
    part = goodput.part(SETTING, {goodput.FULL: {5.0: refused}, goodput.CASCADE: {5.0: refused}})
    assert part.tables[0].rows[0][4:] == ["–", "–", "100.0%", "0.0"]


def test_costs_and_batches_are_of_the_run_alone():
    before = {"small": usage(1.0, {"small": 10.0}, {"small": 5.0}), "router": usage(2.0, {}, {})}
    after = {"small": usage(1.5, {"small": 40.0}, {"small": 15.0}), "router": usage(3.0, {}, {})}
    assert spent(before, after, 100) == pytest.approx({"small": 5.0, "router": 10.0})
    assert batch_sizes(before, after) == {"small": 3.0}
    assert batch_sizes(after, after) == {}


def test_a_stage_that_did_not_run_at_a_level_leaves_a_gap():
    levels = [
        in_flight.Level(1, summary(0.01), {"small": 1.0, "router": 2.0}, {"small": 1.0}),
        in_flight.Level(64, summary(0.01), {"small": 1.0, "router": 2.0}, {"small": 4.0, "x": 2.0}),
    ]
    watched = [
        in_flight.Watched(n, {"small": Seen([0.001, 0.003])}, {"small": Seen([0.004])})
        for n in (0, 64)
    ]
    crowd = in_flight.Crowd(4, 10, 8, {"RESOURCE_EXHAUSTED": 2}, Seen([1.0], [0.2, 0.4]))
    costs, batches, refusals, meanwhile = in_flight.part(SETTING, levels, watched, crowd).tables
    assert [row[5] for row in costs.rows] == ["3.00", "3.00"]
    assert [row[2:] for row in batches.rows] == [["1.0", "–"], ["4.0", "2.0"]]
    assert refusals.rows == [
        [
            *("reviews", "4", "10", "8", "2 RESOURCE_EXHAUSTED"),
            *("2 of 3", "300.0 / 398.0 / 400.0", "1000.0 / 1000.0 / 1000.0"),
        ]
    ]
    assert meanwhile.rows[1] == ["reviews", "64", "2.0 / 3.0 / 3.0", "4.0 / 4.0 / 4.0"]
    for table in (refusals, meanwhile):
        assert all(len(row) == len(table.columns) for row in table.rows)
    assert all(len(row) == len(costs.columns) for row in costs.rows)


def test_an_idle_service_is_compared_by_medians():
    part = idle.part(SETTING, [0.002, 0.004, 0.003], [0.001, 0.002, 0.001])
    assert part.figures["times_in_process"] == pytest.approx(3.0)
    assert [row[2] for row in part.tables[0].rows] == ["3.0", "1.0"]


def test_memory_grows_from_the_first_look():
    part = memory.part(SETTING, {100: {"router": 50.0}, 200: {"router": 55.0}})
    assert part.figures["growth"] == pytest.approx({"router": 0.1})
    assert part.tables[0].rows[-1] == ["reviews", "growth", "+10.0%"]


async def test_memory_is_looked_at_once_a_spell_however_many_texts_it_answered(monkeypatch):
    """A spell may answer several tenths at once."""
    spells = iter([30, 40, 40])

    async def closed_loop(self, callers, seconds):
        return [Sent(0, 0.0, 0.0, 0.01)] * next(spells)

    async def looked_at(pages):
        return {name: usage(0.0, {}, {}) for name in pages}

    monkeypatch.setattr(memory.Generator, "closed_loop", closed_loop)
    monkeypatch.setattr(memory, "usage", looked_at)
    setting = Setting(
        "reviews",
        Path("bundle"),
        SimpleNamespace(pages={"router": "nowhere"}),
        ["a"],
        ["yes"],
        0.1,
        seed=0,
    )
    part = await memory.measure(setting, 100)
    assert list(part.figures["memory_mb"]) == ["30", "70", "110"]


async def test_services_that_no_longer_answer_end_it(monkeypatch):
    async def closed_loop(self, callers, seconds):
        return [Sent(0, 0.0, 0.0, 0.01, error="ROUTER_UNAVAILABLE")]

    monkeypatch.setattr(memory.Generator, "closed_loop", closed_loop)
    setting = Setting("reviews", Path("bundle"), SimpleNamespace(), ["a"], ["yes"], 0.1, seed=0)
    with pytest.raises(memory.LoadError, match=r"nothing was answered.*ROUTER_UNAVAILABLE"):
        await memory.measure(setting, 100)


@pytest.mark.parametrize("value", ["", "1,x", "0", "4,-1"])
def test_numbers_that_are_none_are_refused(value):
    with pytest.raises(Exception, match=r"wanted|above 0"):
        _numbers(int)(value)


def test_tables_are_chosen_by_name():
    read = names_of("table", TABLES)
    assert read("idle,memory") == ("idle", "memory")
    with pytest.raises(Exception, match="there is idle, goodput"):
        read("speed")


def test_ways_to_ask_are_compared_by_the_medians_of_their_runs():
    found = [
        calls.Run(64, way, 100.0 + n, {"small": 1.0 * n, "router": 2.0})
        for n in (1, 2, 30)
        for way in calls.WAYS
    ]
    (table,) = calls.part(SETTING, found).tables
    assert [row[3:] for row in table.rows] == [["102", "2.00", "2.00", "4.00"]] * len(calls.WAYS)
    assert all(len(row) == len(table.columns) for row in table.rows)
