"""The engine: answers, exits, deadlines, cancellations and failures, over a real tiny network."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from offramp.decision.confidence import Measure
from offramp.decision.cost import CostCurve
from offramp.errors import DeadlineError, OfframpError
from services.backends.torch_backend import TorchBackend
from services.engine.core import Engine
from services.engine.plan import StagePlan
from services.engine.row import Answer, Row
from services.engine.scheduler import Scheduler
from services.engine.stage_clock import StageClock, StageCurve
from services.metrics import TierMetrics
from tests.support import tiers
from tests.support.reference import exit_probabilities, expected, is_tie, make_plan

EXITS = tuple(f"large@{layer}" for layer in tiers.LARGE_EXITS)
TO_THE_END = make_plan()

texts = st.lists(st.sampled_from(tiers.WORDS), min_size=1, max_size=30).map(" ".join)
thresholds = st.dictionaries(
    st.sampled_from(EXITS), st.sampled_from((0.0, 0.4, 0.6, 0.75, 0.9, 1.0)), max_size=3
)
plans = st.builds(
    make_plan, thresholds, st.sampled_from(("", "deeper@9", *EXITS)), st.sampled_from(Measure)
)


def make_row(text, plan=TO_THE_END, number=0, deadline=math.inf, *, background=False):
    plan = StagePlan.of(plan, EXITS)
    return Row(number, text, None, plan, lambda rows: None, deadline, background)


def run_to_end(engine):
    ended = []
    while not engine.idle:
        ended += engine.step()
    return ended


def leaves_where_reference_does(row, text, plan):
    want = expected(text, plan, EXITS)
    assert isinstance(row.outcome, Answer)
    assert row.outcome.stage == want.stage
    assert len(row.steps) == want.stage + 1
    np.testing.assert_allclose(row.outcome.probabilities, want.probabilities[want.stage], atol=1e-4)


@settings(max_examples=60)
@given(
    jobs=st.lists(st.tuples(texts, plans, st.booleans(), st.booleans()), min_size=1, max_size=40),
    max_batch=st.integers(1, 9),
    data=st.data(),
)
def test_every_row_ends_once_and_leaves_where_it_would_alone(backend, jobs, max_batch, data):
    assume(not any(is_tie(text, plan, EXITS) for text, plan, *_ in jobs))
    metrics = TierMetrics(CollectorRegistry(), EXITS)
    scheduler = Scheduler(backend.stages, max_batch)
    engine = Engine(backend, tiers.READOUTS["large"], scheduler, metrics)
    rows = [
        make_row(text, plan, number, background=background)
        for number, (text, plan, _, background) in enumerate(jobs)
    ]
    waiting, ended = list(rows), []
    while waiting or not engine.idle:
        arrivals = data.draw(st.integers(0 if not engine.idle else 1, 12), label="arrivals")
        engine.add(waiting[:arrivals])
        for row in waiting[:arrivals]:
            row.cancelled = jobs[row.id][2] and data.draw(st.booleans(), label="cancelled at once")
        waiting = waiting[arrivals:]
        ended += engine.step()
        if data.draw(st.booleans(), label="cancel now"):
            for row in rows:
                row.cancelled |= jobs[row.id][2] and row not in ended
            engine.drop_cancelled()
    assert sorted(row.id for row in ended) == list(range(len(jobs)))
    for row in rows:
        text, plan, *_ = jobs[row.id]
        if row.cancelled:
            assert row.outcome is None
        else:
            leaves_where_reference_does(row, text, plan)


def test_steps_tell_every_exit_passed_with_its_threshold(make_engine):
    engine = make_engine()
    plan = make_plan({"large@1": 0.99999, "large@2": 0.0})
    row = make_row("w1 w2 w3", plan)
    engine.add([row])
    run_to_end(engine)
    found = exit_probabilities("w1 w2 w3")
    assert [step.threshold for step in row.steps] == [0.99999, 0.0]
    assert [step.label for step in row.steps] == found[:2].argmax(axis=1).tolist()
    np.testing.assert_allclose([s.confidence for s in row.steps], found[:2].max(axis=1), atol=1e-4)
    assert row.outcome.confident


def test_threshold_of_one_never_answers_even_at_full_confidence(make_engine, backend):
    class Saturated(TorchBackend):
        def run_stage(self, stage, rows):
            states, logits = super().run_stage(stage, rows)
            return states, np.where(np.arange(3) == 0, 1e4, 0.0) + logits

    engine = make_engine(run_by=Saturated(backend._network, backend._encoder))
    row = make_row("w1", make_plan(dict.fromkeys(EXITS, 1.0)))
    engine.add([row])
    run_to_end(engine)
    assert row.steps[0].confidence == 1.0
    assert row.outcome.stage == 2
    assert not row.outcome.confident


def test_survivors_go_on_before_new_rows_begin(make_engine):
    engine = make_engine(max_batch=2)
    first = [make_row(f"w{number}", number=number) for number in range(2)]
    engine.add(first)
    engine.step()
    engine.add([make_row("w9", number=9)])
    assert engine.step() == []
    assert {row.id for row in engine.step()} == {0, 1}


def test_finished_rows_leave_at_once_while_batch_mates_go_on(make_engine):
    engine = make_engine()
    early = make_row("w1", make_plan({"large@1": 0.0}), number=1)
    deep = make_row("w2", number=2)
    engine.add([deep, early])
    assert engine.step() == [early]
    assert run_to_end(engine) == [deep]


def test_row_cancelled_while_it_runs_goes_no_further(make_engine, backend):
    row = make_row("w1")

    class CallerLeaves(TorchBackend):
        def run_stage(self, stage, rows):
            row.cancelled = True
            return super().run_stage(stage, rows)

    engine = make_engine(run_by=CallerLeaves(backend._network, backend._encoder))
    engine.add([row])
    assert engine.step() == [row]
    assert row.outcome is None
    assert engine.idle


def test_background_rows_wait_for_every_other_row(make_engine):
    engine = make_engine()
    behind = make_row("w1 w2", number=1, background=True)
    engine.add([behind])
    engine.step()
    assert engine.in_flight(1) == 1, "with nobody else there it has begun"
    engine.add([make_row("w3", number=2), make_row("w4", make_plan({"large@1": 0.0}), number=3)])
    ended = run_to_end(engine)
    assert [row.id for row in ended] == [3, 2, 1]
    leaves_where_reference_does(behind, "w1 w2", TO_THE_END)


def test_background_rows_run_in_small_batches_of_their_own(make_engine, backend):
    sizes = []

    class Counted(TorchBackend):
        def run_stage(self, stage, rows):
            sizes.append(len(rows))
            return super().run_stage(stage, rows)

    engine = make_engine(max_batch=8, run_by=Counted(backend._network, backend._encoder))
    plan = make_plan({"large@1": 0.0})
    engine.add([make_row("w1", plan, number, background=number >= 3) for number in range(8)])
    assert [row.id for row in run_to_end(engine)] == list(range(8))
    assert sizes == [3, 2, 2, 1]


def test_background_rows_can_be_cancelled_and_abandoned(make_engine):
    engine = make_engine(max_batch=1)
    rows = [make_row(f"w{number}", number=number, background=True) for number in range(3)]
    engine.add(rows)
    assert engine.step() == []
    rows[1].cancelled = True
    engine.drop_cancelled()
    assert sorted(row.id for row in engine.abandon()) == [0, 1, 2]
    assert engine.idle
    assert rows[1].outcome is None
    assert isinstance(rows[0].outcome, OfframpError)


class Ticking:
    """A clock that moves only when told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def ticking(backend, make_engine):
    """An engine whose every stage takes one second of its own clock, and who knows it."""
    clock = Ticking()

    class Slow(TorchBackend):
        pause = 0.0  # of the machine, before the next stage

        def run_stage(self, stage, rows):
            clock.now += 1.0 + self.pause
            self.pause = 0.0
            return super().run_stage(stage, rows)

    engine = make_engine(run_by=Slow(backend._network, backend._encoder), clock=clock)
    second = StageCurve(CostCurve(1.0), CostCurve(0.0))
    engine.stage_clock = StageClock([second] * 3)
    return engine


def test_deadline_before_the_first_exit_is_an_error(ticking):
    row = make_row("w1", deadline=100.5)
    ticking.add([row])
    assert ticking.step() == [row]
    assert isinstance(row.outcome, DeadlineError)
    assert ticking.clock() == 100.0


def test_deadline_after_an_exit_gives_the_best_answer_so_far(ticking):
    row = make_row("w1", deadline=102.5)
    ticking.add([row])
    assert run_to_end(ticking) == [row]
    assert row.outcome.stage == 1
    assert row.outcome.deadline_reached
    assert not row.outcome.confident
    assert ticking.clock() == 102.0
    np.testing.assert_allclose(row.outcome.probabilities, exit_probabilities("w1")[1], atol=1e-4)


def test_row_that_waits_past_its_deadline_does_not_hold_up_the_others(ticking):
    patient, hurried = make_row("w1", number=1), make_row("w2", number=2, deadline=101.5)
    ticking.add([patient])
    ticking.step()
    ticking.add([hurried])
    assert ticking.step() == [hurried]
    assert isinstance(hurried.outcome, DeadlineError)
    assert run_to_end(ticking) == [patient]


def test_expectation_that_holds_everything_back_is_relaxed(ticking):
    ticking.stage_clock = StageClock([StageCurve(CostCurve(8.0), CostCurve(0.0))] * 3)
    outcomes = []
    for number in range(8):
        row = make_row("w1", number=number, deadline=ticking.clock() + 4.0)
        ticking.add([row])
        run_to_end(ticking)
        outcomes.append(isinstance(row.outcome, Answer))
    assert outcomes[0] is False
    assert outcomes[-1] is True


def test_one_pause_does_not_make_an_idle_tier_refuse(ticking):
    paused = make_row("w1")
    ticking.add([paused])
    ticking.backend.pause = 400.0
    run_to_end(ticking)
    row = make_row("w2", number=1, deadline=ticking.clock() + 4.0)
    ticking.add([row])
    run_to_end(ticking)
    assert isinstance(row.outcome, Answer)
    assert not row.outcome.deadline_reached


class Faulty(TorchBackend):
    """Fails on a batch that holds a certain text, at a certain stage."""

    def begin(self, rows):
        if any(row.token_ids[1] == len(tiers.SPECIAL) for row in rows):
            raise RuntimeError("out of memory at 0xdeadbeef")
        return super().begin(rows)

    def encode(self, texts):
        if ("w13", None) in texts:
            raise RuntimeError("no such token")
        return super().encode(texts)


@pytest.mark.parametrize("poison", ["w0", "w13"])
def test_backend_failure_fails_only_its_batch(backend, make_engine, caplog, poison):
    engine = make_engine(max_batch=2, run_by=Faulty(backend._network, backend._encoder))
    failed = make_row(poison, number=1)
    engine.add([failed])
    assert run_to_end(engine) == [failed]
    assert type(failed.outcome) is OfframpError
    assert "0xdeadbeef" not in str(failed.outcome)
    assert "Traceback" in caplog.text
    after = make_row("w2", number=2)
    engine.add([after])
    assert run_to_end(engine) == [after]
    assert isinstance(after.outcome, Answer)


class Panic(BaseException):
    """What a library written in Rust raises beside Exception."""


@pytest.mark.parametrize("method", ["encode", "run_stage"])
def test_panic_fails_its_batch_like_any_failure(backend, make_engine, method):
    def panics(*_):
        raise Panic

    engine = make_engine(run_by=(run_by := TorchBackend(backend._network, backend._encoder)))
    setattr(run_by, method, panics)
    failed = make_row("w1")
    engine.add([failed])
    assert run_to_end(engine) == [failed]
    assert type(failed.outcome) is OfframpError


def test_text_that_cannot_be_tokenised_fails_alone(backend, make_engine):
    engine = make_engine(run_by=Faulty(backend._network, backend._encoder))
    failed, *sound = (make_row(text, number=n) for n, text in enumerate(("w13", "w1", "w2")))
    engine.add([failed, *sound])
    assert len(run_to_end(engine)) == 3
    assert type(failed.outcome) is OfframpError
    assert all(isinstance(row.outcome, Answer) for row in sound)


@pytest.mark.parametrize("where", ["_schedule", "_encode_arrivals", "_book", "_post_process"])
def test_abandoned_engine_returns_what_its_step_had_in_hand(make_engine, where):
    engine = make_engine(max_batch=2)
    rows = [make_row(f"w{number}", number=number) for number in range(5)]
    engine.add(rows)
    ended = [] if where == "_encode_arrivals" else engine.step()  # which has survivors
    method = getattr(engine, where)

    def breaks(*arguments):
        method(*arguments)
        raise ValueError("a mistake in the engine")

    setattr(engine, where, breaks)
    with pytest.raises(ValueError, match="a mistake"):
        engine.step()
    ended += engine.abandon()
    assert sorted(row.id for row in ended) == [0, 1, 2, 3, 4]
    assert all(row.outcome for row in rows)
    assert engine.idle


def test_rows_whose_end_cannot_be_counted_are_returned_all_the_same(make_engine, monkeypatch):
    def breaks(rows):
        raise ValueError("a mistake in the metrics")

    engine = make_engine()
    monkeypatch.setattr(engine._metrics, "ended", breaks)
    row = make_row("w1", make_plan({"large@1": 0.0}))
    engine.add([row])
    with pytest.raises(ValueError, match="a mistake"):
        engine.step()
    assert engine.abandon() == [row]


class CountsTexts(TorchBackend):
    """Notes the texts that it tokenises."""

    def encode(self, texts):
        self.tokenised = [*getattr(self, "tokenised", []), *texts]
        return super().encode(texts)


def test_rows_that_come_as_tokens_are_not_tokenised_and_end_alike(make_engine, backend):
    run_by = CountsTexts(backend._network, backend._encoder)
    engine = make_engine(max_batch=4, run_by=run_by)
    as_text, as_tokens = make_row("w1 w2", number=1), make_row("", number=2)
    (as_tokens.encoded,) = backend.encode([("w1 w2", None)])
    engine.add([as_text, as_tokens])
    run_to_end(engine)
    assert run_by.tokenised == [("w1 w2", None)]
    np.testing.assert_array_equal(as_tokens.outcome.probabilities, as_text.outcome.probabilities)
    assert (as_tokens.tokens, as_tokens.timing.tokenize) == (4, 0.0)


def test_texts_that_cannot_be_tokenised_do_not_fail_rows_that_come_as_tokens(make_engine, backend):
    engine = make_engine(run_by=Faulty(backend._network, backend._encoder))
    failed, sound = make_row("w13", number=1), make_row("", number=2)
    (sound.encoded,) = backend.encode([("w2", None)])
    engine.add([failed, sound])
    run_to_end(engine)
    assert type(failed.outcome) is OfframpError
    assert isinstance(sound.outcome, Answer)


def test_timing_adds_up_and_is_shared(ticking):
    rows = [make_row(f"w{number}", number=number) for number in range(6)]
    ticking.add(rows)
    run_to_end(ticking)
    assert {row.timing.compute for row in rows} == {3.0}
    assert sum(row.timing.compute_share for row in rows) == pytest.approx(6.0)
    assert [row.timing.queue for row in rows] == [0.0] * 4 + [3.0] * 2


def test_metrics_count_rows_batches_and_tokens(make_engine):
    registry = CollectorRegistry()
    engine = make_engine(registry=registry)
    engine.add([make_row("w1 w2", make_plan({"large@1": 0.0})), make_row("w3")])
    sample = registry.get_sample_value
    assert sample("offramp_tier_queue_depth") == 2
    run_to_end(engine)
    ended = {"exit": "large@1", "outcome": "confident"}
    assert sample("offramp_tier_rows_total", ended) == 1
    assert sample("offramp_tier_rows_total", {"exit": "large@4", "outcome": "last_exit"}) == 1
    assert sample("offramp_tier_batch_rows_sum", {"stage": "large@1"}) == 2
    assert sample("offramp_tier_batch_rows_sum", {"stage": "large@4"}) == 1
    assert sample("offramp_tier_tokens_total") == 7
    assert sample("offramp_tier_queue_depth") == 0
    assert sample("offramp_tier_stage_rows", {"stage": "large@2"}) == 0
