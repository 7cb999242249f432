"""`offramp up` while it serves, before a suite that only says what is asked of it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from cli.launch import running
from offramp.errors import RouterUnavailableError
from offramp.process.ready import Ready


class Suite:
    """Ready at once; notes how it ends."""

    def __init__(self, *_):
        self.ended = []
        Suite.last = self

    async def start(self):
        return {"router": Ready("router", "127.0.0.1:1", "127.0.0.1:2")}

    async def stop(self):
        self.ended.append("drained")
        return True

    def kill(self):
        self.ended.append("killed")


@pytest.fixture
def up(tmp_path, monkeypatch):
    """Run it until it has ended, with the demonstration that is given."""
    monkeypatch.setattr(running, "Suite", Suite)
    monkeypatch.setattr(running, "check_addresses", lambda workspace: None)
    workspace = SimpleNamespace(
        directory=tmp_path / "config", edited=False, file=lambda name: tmp_path / name
    )

    async def run(demonstrate):
        monkeypatch.setattr(running, "_demonstrate", demonstrate)
        async with asyncio.timeout(30):
            return await running.run(workspace, demo=True)

    return run


@pytest.fixture
def stop(monkeypatch):
    """What a signal sets: none is sent, for it would reach the process of the tests."""
    event = asyncio.Event()
    monkeypatch.setattr(running, "_stop_event", lambda suite: event)
    return event


async def test_a_demonstration_that_fails_is_told_and_serving_goes_on(up, stop, capsys):
    async def fails(*_):
        # Comes where nothing but the wait for a signal is left.
        asyncio.get_running_loop().call_later(0.05, stop.set)
        raise RouterUnavailableError("the router is not there; is it running?")

    assert await up(fails) == 0
    assert Suite.last.ended == ["drained"]
    assert "the router is not there" in capsys.readouterr().out


async def test_a_signal_during_the_demonstration_drains_the_suite(up, stop):
    async def never_ends(*_):
        stop.set()
        await asyncio.Event().wait()

    assert await up(never_ends) == 0
    assert Suite.last.ended == ["drained"]


async def test_whatever_else_goes_wrong_the_suite_is_drained(up):
    async def fails(*_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await up(fails)
    assert Suite.last.ended == ["drained"]
