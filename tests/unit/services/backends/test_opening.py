"""Which backend runs a tier: what is measured for it, and what is refused before it is tried."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.errors import ConfigError
from services.backends import opening
from services.backends.base import Encoded
from services.backends.opening import Wish, open_tier
from tests.support import tiers


class Machine:
    """A clock, and load on it: what runs takes so many times as long, by the batch."""

    def __init__(self, loads=()):
        self.now = 0.0
        self.loads = iter(loads)
        self.ran = []

    def __call__(self):
        return self.now

    def run(self, name, seconds):
        self.now += seconds * next(self.loads, 1.0)
        self.ran.append(name)


class Steady:
    """A backend of one stage that takes so many seconds, times the load."""

    stages = 1

    def __init__(self, machine, name, seconds):
        self.machine, self.name, self.seconds = machine, name, seconds
        self.prepare = lambda: None

    def encode(self, texts):
        return [Encoded([1], None, False) for _ in texts]

    def begin(self, rows):
        return list(rows)

    def run_stage(self, stage, rows):
        self.machine.run(self.name, self.seconds)
        return rows, np.zeros((len(rows), 2), np.float32)


def gain(machine, exact, rounded):
    backends = Steady(machine, "fp32", exact), Steady(machine, "int8", rounded)
    return opening._gain(*backends, pairs=False, clock=machine)


@given(st.floats(1.0, 10.0), st.integers(1, 6), st.integers(0, 6))
def test_load_that_comes_and_goes_does_not_change_the_gain(load, start, lasts):
    machine = Machine([1.0] * start + [load] * lasts)
    assert gain(machine, 0.004, 0.002) == pytest.approx(2.0)


def test_both_are_run_in_turns():
    machine = Machine()
    gain(machine, 0.004, 0.002)
    assert machine.ran == ["fp32", "int8"] * (len(machine.ran) // 2)
    assert len(machine.ran) >= 2 * 10


def test_slow_models_are_run_less_often_and_still_more_than_once():
    machine = Machine()
    assert gain(machine, 2.0, 1.0) == pytest.approx(2.0)
    assert len(machine.ran) == 2 * opening.FEWEST_ROUNDS
    assert opening.FEWEST_ROUNDS > 1


@pytest.mark.parametrize(
    ("tier", "cores", "asked", "given"),
    [
        ("small", 4, 0, 1),
        ("small", 4, 2, 2),
        ("large", 4, 0, 3),
        ("large", 1, 0, 1),
        ("large", 4, 4, 4),
    ],
)
def test_a_student_runs_on_one_thread_and_others_leave_a_core_to_it_unless_told_otherwise(
    tmp_path, monkeypatch, tier, cores, asked, given
):
    bundle = tiers.make_bundle(tmp_path / "tiny")
    wishes = []
    monkeypatch.setattr(opening, "_cores", lambda: cores)
    monkeypatch.setattr(opening, "_backend", lambda *args: wishes.append(args[-1]))
    open_tier(bundle, tier, Wish(threads=asked))
    assert [wish.threads for wish in wishes] == [given]


def test_a_gpu_that_pytorch_does_not_see_is_refused_with_a_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    bundle = tiers.make_bundle(tmp_path / "tiny")
    with pytest.raises(ConfigError, match=r"engine\.device: .*TORCH_INDEX.*device: cpu"):
        open_tier(bundle, "large", Wish(device="cuda"))
