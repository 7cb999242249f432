"""A tier's process before it is ready: a signal ends it at once, and as if nothing were wrong."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# A tier that says where it is and stays there; `time.sleep` stands for what compiles and measures.
SLOW_TIER = """
import asyncio, sys, time
from services import launch, server

def stays(*_):
    print("there", flush=True)
    time.sleep(600)

class Tier:
    def __init__(self, *_):
        if sys.argv[1] == "building":
            stays()
    async def start(self): ...
    async def warm_up(self):
        if sys.argv[1] == "warming up":
            print("there", flush=True)
            await asyncio.sleep(600)
        await asyncio.to_thread(stays)
    async def close(self): ...

server.TierServer = Tier
launch.main("small", None, ["--config", sys.argv[2]])
"""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("phase", ["building", "warming up", "busy on another thread"])
def test_a_signal_before_a_tier_is_ready_ends_it_quietly(tmp_path, phase, signum):
    config = tmp_path / "tier.yaml"
    server = "server: {address: '127.0.0.1:0', metrics_address: '127.0.0.1:0'}"
    config.write_text(f"{server}\nbundle: none\n")
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_TIER, phase, str(config)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "there\n"
        process.send_signal(signum)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "Traceback" not in said
        assert "before it was ready" in said
    finally:
        process.kill()
