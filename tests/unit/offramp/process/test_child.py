"""One child process: ready, dead, draining, tied to its parent; really run, with little to do."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from offramp.process import keeping
from offramp.process.child import Child, Died
from offramp.process.ready import Ready

READY = Ready("standin", "a:1", "m:2")
READY_LINE = READY.line()
SERVES = f"print('noise', flush=True); print('{READY_LINE}', flush=True)\n"
DRAINS = """\
import signal, sys, time
def end(*_):
    time.sleep(0.5)
    print("drained", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
"""
WAITS = "import time\nwhile True: time.sleep(0.05)\n"


@pytest.fixture
def child(tmp_path, monkeypatch):
    """Make a child that runs the given source as a module."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path.cwd())]))
    made = []

    def make(source: str) -> Child:
        (tmp_path / "standin.py").write_text(source)
        made.append(Child("standin", "standin", ("--config", "c.yaml"), tmp_path / "log"))
        return made[-1]

    yield make
    for child in made:
        child.kill()


async def test_a_child_is_ready_when_it_says_so_and_ends_when_asked(child):
    service = child(SERVES + WAITS)
    assert await service.start() == READY
    assert service.running
    await service.stop(drain_seconds=1)
    assert not service.running


async def test_a_child_gets_its_config_and_all_it_says_goes_to_the_log(child):
    service = child(
        "import sys; print('said', sys.argv[1:], file=sys.stderr)\n" + DRAINS + SERVES + WAITS
    )
    await service.start()
    await service.stop(drain_seconds=5)
    lines = service.last_lines()
    assert any(line.startswith("said ['--config', ") for line in lines)
    assert "noise" in lines
    assert "drained" in lines
    assert READY_LINE not in lines


async def test_a_child_that_ends_before_it_is_ready_leaves_its_last_words(child):
    service = child(
        "import sys\nfor n in range(20): print('line', n, file=sys.stderr)\nsys.exit(2)"
    )
    with pytest.raises(Died, match=r"standin stopped \(exit code 2\)") as died:
        await service.start()
    assert "| line 19" in str(died.value)
    assert "| line 12" in str(died.value)
    assert "| line 11" not in str(died.value)


async def test_a_child_that_cannot_be_started_is_tried_again(child, monkeypatch):
    monkeypatch.setattr(keeping, "RESTART_SECONDS", (0.01,))
    service = child(SERVES + "import sys; sys.exit(3)\n")
    await service.start()
    tries, notes = [], []

    async def start(one):
        tries.append(one)
        if len(tries) < 3:
            raise BlockingIOError(errno.EAGAIN, "no process can be made")
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(keeping.keep_alive(service, start, notes.append), 20)
    assert len(tries) == 3
    assert sum("cannot be started" in note for note in notes) == 2


async def test_a_child_that_is_killed_is_said_to_be(child):
    service = child(SERVES + WAITS)
    await service.start()
    service.kill()
    death = await service.death()
    assert "killed by SIGKILL" in str(death)
    assert death.code == -signal.SIGKILL


async def test_a_drain_is_waited_for(child):
    service = child(DRAINS + SERVES + WAITS)
    await service.start()
    assert await service.stop(drain_seconds=5)
    assert "drained" in service.last_lines()


async def test_a_child_that_does_not_end_in_time_is_killed_and_told_of(child, monkeypatch):
    monkeypatch.setattr("offramp.process.child.PATIENCE_SECONDS", 0.2)
    deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    service = child(deaf + SERVES + WAITS)
    await service.start()
    assert not await service.stop(drain_seconds=0.1)
    assert not service.running


def test_a_tied_process_ends_with_its_parent_however_that_ends(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path.cwd())]))
    (tmp_path / "standin.py").write_text("print('up', flush=True)\n" + WAITS)
    parent_source = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'offramp.process.tether',"
        " str(os.getpid()), 'standin'], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(100)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent_source], stdout=subprocess.PIPE, text=True
    ) as parent:
        pid = int(parent.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        parent.send_signal(signal.SIGKILL)
    end = time.monotonic() + 20
    while _alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _alive(pid)


def test_a_tied_process_whose_parent_is_gone_already_does_not_begin(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path.cwd())]))
    (tmp_path / "standin.py").write_text("print('up', flush=True)\n")
    done = subprocess.run(
        [sys.executable, "-m", "offramp.process.tether", "1", "standin"],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == ""


def _alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
