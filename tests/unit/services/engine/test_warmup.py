"""Measuring what stages cost."""

import time

import numpy as np
import pytest

from services.backends.torch_backend import TorchBackend
from services.engine import warmup
from tests.support import tiers


@pytest.fixture(autouse=True)
def alone_on_the_machine(monkeypatch):
    monkeypatch.setattr(warmup, "waited_seconds", lambda: 0.0)


class Clocked(TorchBackend):
    """A backend on which a row of n tokens takes a second plus n/10 per stage, by a false clock."""

    now = 0.0

    def run_stage(self, stage, rows):
        tokens = max(int(row.batch.lengths[row.index]) for row in rows)
        self.now += len(rows) * (1.0 + tokens / 10)
        return super().run_stage(stage, rows)


@pytest.fixture
def clocked(backend, monkeypatch):
    found = Clocked(backend._network, backend._encoder)
    monkeypatch.setattr(time, "perf_counter", lambda: found.now)
    monkeypatch.setattr(warmup, "BUDGET_SECONDS", 1e9)
    return found


def test_curves_are_what_the_stages_took_per_row(clocked):
    curves = warmup.measure(clocked, max_batch=3, pairs=False)
    assert len(curves) == 3
    for curve in curves:
        np.testing.assert_allclose(curve.shared.at([8, 20]), [1.8, 3.0], rtol=1e-3)
        assert curve.seconds(3, 20) == pytest.approx(9.0, rel=1e-3)


def test_seconds_up_to_an_exit_add_up(clocked):
    curves = warmup.cumulative_seconds(warmup.measure(clocked, max_batch=2, pairs=False))
    np.testing.assert_allclose([float(c.at(10)) for c in curves], [2.0, 4.0, 6.0], rtol=1e-3)


def test_long_texts_are_left_out_once_the_time_is_spent(clocked, monkeypatch):
    monkeypatch.setattr(warmup, "BUDGET_SECONDS", 0.0)
    warmup.measure(clocked, max_batch=1, pairs=False)
    few = clocked.now
    monkeypatch.setattr(warmup, "BUDGET_SECONDS", 1e9)
    warmup.measure(clocked, max_batch=1, pairs=False)
    assert clocked.now - few > few


# RoBERTa-large in fp32 takes some 6 ms a token of all its stages on one core.
@pytest.mark.parametrize("seconds_per_token", [1e-6, 1e-3, 6e-3])
def test_it_ends_within_twenty_seconds_also_for_a_large_model(
    backend, monkeypatch, seconds_per_token
):
    class Slow(Clocked):
        def run_stage(self, stage, rows):
            tokens = max(int(row.batch.lengths[row.index]) for row in rows)
            self.now += seconds_per_token / self.stages * len(rows) * tokens * (1 + tokens / 256)
            return TorchBackend.run_stage(self, stage, rows)

    slow = Slow(backend._network, backend._encoder)
    monkeypatch.setattr(time, "perf_counter", lambda: slow.now)
    rows = warmup.best_batch(slow, pairs=False)
    warmup.measure(slow, rows, pairs=False)
    assert slow.now < 20.0


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_what_a_token_of_padding_costs_is_measured(backend, monkeypatch, share):
    class PartlyPacked(Clocked):
        def run_stage(self, stage, rows):
            tokens = [int(row.batch.lengths[row.index]) for row in rows]
            padded = max(tokens) * len(rows)
            self.now += share * padded + (1 - share) * sum(tokens)
            return TorchBackend.run_stage(self, stage, rows)

    packed = PartlyPacked(backend._network, backend._encoder)
    monkeypatch.setattr(time, "perf_counter", lambda: packed.now)
    for rows in (4, 5):
        found = [curve.padding for curve in warmup.measure(packed, rows, pairs=False)]
        assert found == pytest.approx([share] * 3)
    # Where no batch has two rows there is no padding.
    assert {curve.padding for curve in warmup.measure(packed, 1, pairs=False)} == {1.0}


def test_time_in_which_the_machine_ran_something_else_is_left_out(clocked, monkeypatch):
    undisturbed = warmup.measure(clocked, max_batch=3, pairs=False)
    run_stage, held_up = clocked.run_stage, [0.0]

    def disturbed(stage, rows):
        clocked.now += len(rows) ** 2
        held_up[0] += len(rows) ** 2
        return run_stage(stage, rows)

    monkeypatch.setattr(clocked, "run_stage", disturbed)
    monkeypatch.setattr(warmup, "waited_seconds", lambda: held_up[0])
    for found, alone in zip(warmup.measure(clocked, 3, False), undisturbed, strict=True):
        assert found.seconds(3, 20) == pytest.approx(alone.seconds(3, 20))


class Priced(TorchBackend):
    """A backend whose batches take what `price` says of their rows, by a false clock."""

    now = 0.0

    def run_stage(self, stage, rows):
        self.now += self.price(len(rows))
        return super().run_stage(stage, rows)


@pytest.mark.parametrize(
    ("price", "best"),
    [
        (lambda rows: 1.0, 256),
        (lambda rows: 1.0 + 0.01 * rows, 256),
        (lambda rows: 1.0 + rows, 32),
        (lambda rows: rows, 1),
        (lambda rows: 1.0 + rows * (2 if rows > 8 else 1), 8),
    ],
    ids=["starts alone", "dear starts", "starts of a row's price", "rows alone", "caches"],
)
def test_the_smallest_batch_that_costs_hardly_more_than_the_cheapest(
    backend, monkeypatch, price, best
):
    priced = Priced(backend._network, backend._encoder)
    priced.price = price
    monkeypatch.setattr(time, "perf_counter", lambda: priced.now)
    monkeypatch.setattr(warmup, "BUDGET_SECONDS", 1e9)
    monkeypatch.setattr(warmup, "STEP_SECONDS", 0.0)
    assert warmup.best_batch(priced, pairs=False) == best


def test_lengths_beyond_the_tier_are_measured_once(backend):
    lengths = [example.tokens for example in warmup._examples(backend, pairs=False)]
    assert lengths == [8, 16, tiers.MAX_TOKENS]
