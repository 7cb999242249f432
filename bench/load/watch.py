"""Asks running services small things from a process of its own, and times every answer.

python -m bench.load.watch GAP KIND=ADDRESS…

KIND is health (of a gRPC server), page (of metrics) or text (to a router). Each is asked again and
again, GAP seconds after its last answer. Says that it is ready, begins with the first line on
standard input and ends with the second; then prints what it saw as one JSON object. A process of
its own, because one that sends texts by the thousand cannot tell how late the others' answers are.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from offramp.client import Client
from offramp.client.connection import Retries
from offramp.errors import OfframpError

Name = TypeVar("Name", bound=Hashable)

TIMEOUT_SECONDS = 60.0
TEXT = "a text like any other"


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of one thing that was asked again and again: seconds of answers, of refusals."""

    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)


def _health(address: str) -> Callable[[], bool]:
    stub = health_pb2_grpc.HealthStub(grpc.insecure_channel(address))
    request = health_pb2.HealthCheckRequest()

    def ask() -> bool:
        try:
            found = stub.Check(request, timeout=TIMEOUT_SECONDS)
        except grpc.RpcError:
            return False
        return bool(found.status == health_pb2.HealthCheckResponse.SERVING)

    return ask


def _page(address: str) -> Callable[[], bool]:
    def ask() -> bool:
        try:
            with urllib.request.urlopen(
                f"http://{address}/metrics", timeout=TIMEOUT_SECONDS
            ) as page:
                return bool(page.read())
        except OSError:
            return False

    return ask


def _text(address: str) -> Callable[[], bool]:
    client = Client(address, timeout=TIMEOUT_SECONDS, retries=Retries(attempts=1))

    def ask() -> bool:
        try:
            client.classify(TEXT)
        except OfframpError:
            return False
        return True

    return ask


KINDS = {"health": _health, "page": _page, "text": _text}


def _again_and_again(
    ask: Callable[[], bool], gap: float, begin: threading.Event, end: threading.Event, seen: Seen
) -> None:
    ask()  # connected, before it counts
    begin.wait()
    while not end.is_set():
        began = time.perf_counter()
        answered = ask()
        (seen.answered if answered else seen.refused).append(time.perf_counter() - began)
        end.wait(gap)


def main(gap: float, wanted: Sequence[str]) -> None:
    """Watch, and say what was seen."""
    begin, end = threading.Event(), threading.Event()
    found, threads = [Seen() for _ in wanted], []
    for one, seen in zip(wanted, found, strict=True):
        kind, _, address = one.partition("=")
        arguments = (KINDS[kind](address), gap, begin, end, seen)
        threads.append(threading.Thread(target=_again_and_again, args=arguments, daemon=True))
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    sys.stdin.readline()
    begin.set()
    sys.stdin.readline()
    end.set()
    for thread in threads:
        thread.join()
    print(json.dumps([asdict(seen) for seen in found]))


@asynccontextmanager
async def watching(gap: float, wanted: Mapping[Name, str]) -> AsyncIterator[dict[Name, Seen]]:
    """Watch while the context lasts; what was seen is there, by name, once it has ended.

    wanted: KIND=ADDRESS by name.  Raises OfframpError where the other process fails.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.load.watch", str(gap), *wanted.values()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    if process.stdin is None or process.stdout is None:
        raise OfframpError("what watches the services has no pipes")  # for the type checker
    found: dict[Name, Seen] = {}
    await process.stdout.readline()
    process.stdin.write(b"\n")
    try:
        yield found
    finally:
        out, _ = await process.communicate(b"\n")
    if process.returncode:
        raise OfframpError(f"what watches the services ended with {process.returncode}")
    found |= {name: Seen(**one) for name, one in zip(wanted, json.loads(out), strict=True)}


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
