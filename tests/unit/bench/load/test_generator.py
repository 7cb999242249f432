"""Open and closed loops: who waits for whom, and from when latency counts."""

import asyncio

import numpy as np
import pytest

from bench.load.generator import Generator
from bench.load.summary import summarise
from offramp.errors import OverloadedError

LABELS = ["yes", "no", "yes"]


class Answer:
    """As much of a classification as the generator reads."""

    def __init__(self, label):
        self.label = label
        self.exit = "small"


async def test_in_an_open_loop_a_stall_counts_for_all_who_came_in_it():
    free = asyncio.Event()

    async def ask(text):
        await free.wait()
        return Answer("yes")

    generator = Generator(ask, LABELS)
    run = asyncio.create_task(generator.open_loop(np.array([0.0, 0.05, 0.1])))
    await asyncio.sleep(0.3)
    free.set()
    found = await run
    assert [one.text for one in found] == [0, 1, 2]
    latencies = [one.latency for one in found]
    assert latencies == sorted(latencies, reverse=True)
    assert min(latencies) > 0.15


async def test_in_a_closed_loop_no_more_are_in_flight_than_asked_for():
    held, most = 0, 0

    async def ask(text):
        nonlocal held, most
        held += 1
        most = max(most, held)
        await asyncio.sleep(0.001)
        held -= 1
        return Answer(text)

    found = await Generator(ask, LABELS).closed_loop(5, 0.1)
    assert most == 5
    assert len(found) > 10
    assert [one.text for one in sorted(found, key=lambda one: one.sent)[:5]] == [0, 1, 2, 0, 1]


async def test_what_is_refused_is_counted_by_reason_and_not_as_an_answer():
    async def ask(text):
        if text == "no":
            raise OverloadedError("full", retry_after_seconds=1.0)
        return Answer("yes")

    found = await Generator(ask, LABELS).open_loop(np.zeros(6))
    summary = summarise(found, LABELS, objective=1.0)
    assert (summary.sent, summary.answered) == (6, 4)
    assert list(summary.errors.values()) == [2]
    assert summary.accuracy == 1.0
    assert summary.exits == {"small": 1.0}
    assert summary.goodput == pytest.approx(summary.throughput)


def test_a_run_without_answers_has_a_summary_too():
    summary = summarise([], LABELS, objective=1.0)
    assert (summary.sent, summary.throughput, summary.accuracy) == (0, 0.0, None)
