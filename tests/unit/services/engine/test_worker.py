"""The compute thread behind the event loop: each row is delivered once, whatever comes between."""

import asyncio
import contextlib
import os
import random
import threading

import pytest
from prometheus_client import CollectorRegistry

from offramp.errors import OverloadedError, TierUnavailableError
from services.backends.torch_backend import TorchBackend
from services.engine.plan import StagePlan
from services.engine.row import Answer, Row
from services.engine.worker import Worker
from services.metrics import TierMetrics
from tests.support import tiers
from tests.support.reference import expected, is_tie, make_plan

EXITS = tuple(f"large@{layer}" for layer in tiers.LARGE_EXITS)


@pytest.fixture
async def start(make_engine):
    """Start workers over the tiny tier; they are closed afterwards."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(max_queue=1000, **settings):
            engine = make_engine(**settings)
            worker = Worker(engine, max_queue, TierMetrics(CollectorRegistry(), EXITS))
            stack.push_async_callback(worker.close)
            await worker.start(warm_up=False, pairs=False)
            return worker

        yield make


def make_row(number, text, plan, deliver, *, background=False):
    plan = StagePlan.of(plan, EXITS)
    return Row(number, text, None, plan, deliver, background=background)


@pytest.mark.parametrize("seed", range(3))
async def test_every_row_is_delivered_once_or_was_cancelled(start, seed):
    chooser = random.Random(seed)
    plan = make_plan({"large@1": 0.88, "large@2": 0.8})
    worker = await start(max_batch=chooser.randint(1, 8))
    delivered: list[Row] = []
    rows = []
    for number in range(120):
        text = " ".join(chooser.choices(tiers.WORDS, k=chooser.randint(1, 22)))
        if not is_tie(text, plan, EXITS):
            background = chooser.random() < 0.2
            rows.append(make_row(number, text, plan, delivered.extend, background=background))
    waiting = list(rows)
    while waiting:
        count = chooser.randint(1, 20)
        worker.submit(waiting[:count])
        worker.cancel([row for row in waiting[:count] if chooser.random() < 0.2])
        waiting = waiting[count:]
        await asyncio.sleep(chooser.choice((0, 0.002)))
    async with asyncio.timeout(30):
        while worker.held:  # noqa: ASYNC110 (delivery is what is tested)
            await asyncio.sleep(0.002)
    assert len(set(delivered)) == len(delivered)
    assert set(delivered) == {row for row in rows if not row.cancelled}
    for row in delivered:
        assert isinstance(row.outcome, Answer)
        assert row.outcome.stage == expected(row.text, plan, EXITS).stage


async def test_rows_that_end_together_are_delivered_in_one_call_per_caller(start):
    worker = await start(max_batch=8)
    calls: list[tuple[str, list[int]]] = []
    done = asyncio.Event()

    def deliver_to(name):
        def deliver(rows):
            calls.append((name, [row.id for row in rows]))
            if len(calls) == 2:
                done.set()

        return deliver

    first, second = deliver_to("first"), deliver_to("second")
    callers = [first, second, first, second]
    worker.submit([make_row(n, "w1", make_plan(), caller) for n, caller in enumerate(callers)])
    await asyncio.wait_for(done.wait(), 30)
    assert sorted(calls) == [("first", [0, 2]), ("second", [1, 3])]


async def test_refused_rows_are_told_when_to_come_back(start):
    worker = await start(max_queue=2)
    delivered: list[Row] = []
    rows = [make_row(number, "w1", make_plan(), delivered.extend) for number in range(40)]
    for row in rows[:20]:
        worker.submit([row])
        async with asyncio.timeout(30):
            while worker.held:  # noqa: ASYNC110 (delivery is what is waited for)
                await asyncio.sleep(0.001)
    worker.submit(rows[20:])
    refused = delivered[20:]
    assert len(refused) == 18
    for row in refused:
        assert isinstance(row.outcome, OverloadedError)
        assert 0.0 < row.outcome.retry_after_seconds < 1.0


async def test_background_rows_have_half_as_many_places_and_take_no_others(start):
    worker = await start(max_queue=6)
    delivered: list[Row] = []
    rows = [
        make_row(number, "w1", make_plan(), delivered.extend, background=number < 5)
        for number in range(12)
    ]
    worker.submit(rows)  # nothing is delivered before the event loop runs, but refusals
    assert [row.id for row in delivered] == [3, 4, 11]
    assert all(isinstance(row.outcome, OverloadedError) for row in delivered)
    assert str(delivered[0].outcome).startswith("3 background texts are waiting")
    assert str(delivered[2].outcome).startswith("6 texts are waiting")
    async with asyncio.timeout(30):
        while worker.held:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
    assert len(delivered) == 12


async def test_new_rows_are_refused_while_draining(start):
    worker = await start()
    delivered: list[Row] = []
    worker.refuse_new()
    worker.submit([make_row(1, "w1", make_plan(), delivered.extend)])
    assert isinstance(delivered[0].outcome, TierUnavailableError)


async def test_backend_that_cannot_start_fails_the_start(make_engine, backend):
    class Broken(TorchBackend):
        def prepare(self):
            raise RuntimeError("no such device")

    engine = make_engine(run_by=Broken(backend._network, backend._encoder))
    worker = Worker(engine, 10, TierMetrics(CollectorRegistry(), EXITS))
    with pytest.raises(RuntimeError, match="no such device"):
        await worker.start(warm_up=False, pairs=False)
    await worker.close()


async def test_tier_ends_with_an_engine_that_is_beyond_help(start, caplog, monkeypatch):
    worker = await start()
    ended, status = threading.Event(), []

    def leave(code):
        status.append(code)
        ended.set()

    def broken():
        raise ValueError("a mistake")

    monkeypatch.setattr("services.engine.worker.os._exit", leave)
    monkeypatch.setattr(worker._engine, "step", broken)
    monkeypatch.setattr(worker._engine, "abandon", broken)
    worker.submit([make_row(0, "w1", make_plan(), lambda rows: None)])
    assert await asyncio.to_thread(ended.wait, 30)
    assert status == [os.EX_SOFTWARE]
    assert "the tier ends with it" in caplog.text


async def test_engine_that_fails_between_batches_fails_what_it_held_and_goes_on(start, caplog):
    worker = await start()
    engine = worker._engine
    schedule = engine._schedule
    broken = iter([True])

    def schedule_once_broken(scheduler, stage):
        if next(broken, False):
            raise ValueError("a mistake in the scheduler")
        return schedule(scheduler, stage)

    engine._schedule = schedule_once_broken
    outcomes: asyncio.Queue[Row] = asyncio.Queue()

    def deliver(rows):
        for row in rows:
            outcomes.put_nowait(row)

    for number in range(2):
        worker.submit([make_row(number, "w1", make_plan(), deliver)])
        row = await asyncio.wait_for(outcomes.get(), 30)
        assert isinstance(row.outcome, Answer) == (number == 1)
    assert "a mistake in the scheduler" in caplog.text
