"""How short of processors a thread is."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from offramp.process import contention
from offramp.process.contention import SAMPLE_SECONDS, Contention, waited_seconds


class Machine:
    """A clock, and what a thread has waited, both set by hand."""

    def __init__(self) -> None:
        self.now, self.waited, self.asked = 100.0, 7.0, 0

    def ask(self) -> float:
        self.asked += 1
        return self.waited

    def pass_seconds(self, seconds: float, waiting: float) -> None:
        self.now += seconds
        self.waited += waiting


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def found(machine):
    return Contention(machine.ask, lambda: machine.now)


def test_nothing_is_known_at_first(found):
    assert found.share() == 0.0


def test_the_share_is_of_the_time_since_the_last_sample(found, machine):
    machine.pass_seconds(0.5, waiting=0.2)
    assert found.share() == pytest.approx(0.4)
    machine.pass_seconds(1.0, waiting=0.0)
    assert found.share() == 0.0


def test_the_system_is_asked_once_a_sample(found, machine):
    asked = machine.asked
    for _ in range(100):
        machine.pass_seconds(SAMPLE_SECONDS / 50, waiting=SAMPLE_SECONDS / 100)
        found.share()
    assert machine.asked - asked <= 2
    assert found.share() == pytest.approx(0.5)


def test_it_is_a_share_even_where_clocks_disagree(found, machine):
    machine.pass_seconds(1.0, waiting=3.0)
    assert found.share() == 1.0


def test_a_system_that_does_not_say_has_enough_processors(monkeypatch, tmp_path):
    monkeypatch.setattr(contention, "STATISTICS", tmp_path / "nothing")
    assert waited_seconds() == 0.0
    (tmp_path / "nothing").write_text("12\n")
    assert waited_seconds() == 0.0


BURN = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
print(flush=True)
while True:
    pass
"""


def system_says() -> bool:
    """Whether it counts at all: without, Linux has a file of zeros or none."""
    try:
        return int(contention.STATISTICS.read_text().split()[0]) > 0
    except OSError:
        return False


@pytest.mark.skipif(not system_says(), reason="the system does not say how long threads wait")
def test_a_thread_waits_while_another_process_has_its_processor():
    processor = min(os.sched_getaffinity(0))
    shares: list[float] = []

    def work() -> None:
        os.sched_setaffinity(threading.get_native_id(), {processor})
        found, until = Contention(), time.monotonic() + 1.5
        while time.monotonic() < until:
            pass
        shares.append(found.share())

    burning = subprocess.Popen([sys.executable, "-c", BURN, str(processor)], stdout=subprocess.PIPE)
    try:
        assert burning.stdout is not None
        burning.stdout.readline()
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        burning.kill()
        burning.communicate()
    assert shares[0] > 0.1
