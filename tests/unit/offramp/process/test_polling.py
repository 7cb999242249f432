"""How gRPC polls is settled before it is imported, and in words that it knows."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from offramp.process.polling import EXPERIMENTS, WITHOUT_EVENT_ENGINE

SETTLED = f"""
import os, sys
import {{package}}
assert "grpc" not in sys.modules, "imported too early"
print(os.environ["{EXPERIMENTS}"])
import grpc
with grpc.insecure_channel("localhost:1"):
    pass
"""


def settled(package: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Import a package in a process of its own, then gRPC."""
    inherited = {key: value for key, value in os.environ.items() if key != EXPERIMENTS}
    return subprocess.run(
        [sys.executable, "-c", SETTLED.format(package=package)],
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.parametrize("package", ["router", "services"])
def test_a_service_settles_it_in_words_that_grpc_knows(package: str) -> None:
    done = settled(package)
    assert done.stdout.strip() == WITHOUT_EVENT_ENGINE
    assert "Unknown experiment" not in done.stderr


def test_words_that_grpc_does_not_know_would_be_seen() -> None:
    assert "Unknown experiment" in settled("router", **{EXPERIMENTS: "-nonesuch"}).stderr


def test_what_the_environment_asks_for_goes_before() -> None:
    assert settled("router", **{EXPERIMENTS: "-event_engine_fork"}).stdout.strip() == (
        "-event_engine_fork"
    )
