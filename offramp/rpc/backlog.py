"""Calls that gRPC has received and Python not yet taken in.

grpc.aio hands Python one call per turn of the event loop, however many wait; the others stand in a
queue of its core that no limit of ours sees. Channelz counts what came, the interceptor what was
taken in: the difference is how many wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import grpc
from grpc_channelz.v1 import channelz, channelz_pb2

# Which the package's type information does not mention.
_CHANNELZ: Any = vars(channelz)["ChannelzServicer"]

# Asking takes a millisecond under load.
SAMPLE_SECONDS = 0.2
# Calls that gRPC drops from its queue never come: what was the least in this many seconds, and in
# as many before, is taken for their number. (Those of clients that cancel or vanish are taken in.)
MEMORY_SECONDS = 30.0


class Backlog:
    """How many calls wait to be taken in.

    `received` is to say how many the server has received, ever; see `received_by`.
    clock: in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.received: Callable[[], int] = lambda: 0
        self._clock = clock
        self._taken = 0
        self._seen = 0
        self._sampled_at = float("-inf")
        self._least, self._least_before = 0, 0
        self._remembered_at = float("-inf")

    def take(self) -> None:
        """Count a call that is taken in."""
        self._taken += 1

    @property
    def waiting(self) -> int:
        """Calls that wait at least; what came in the last SAMPLE_SECONDS may be missing."""
        now = self._clock()
        if now - self._sampled_at >= SAMPLE_SECONDS:
            self._sample(now)
        lost = min(self._least, self._least_before)
        return max(0, self._seen - self._taken - lost)

    def _sample(self, now: float) -> None:
        self._sampled_at = now
        self._seen = self.received()
        untaken = self._seen - self._taken
        if now - self._remembered_at >= MEMORY_SECONDS:
            self._remembered_at = now
            self._least_before, self._least = self._least, untaken
        self._least = min(self._least, untaken)


def received_by(make: Callable[[], grpc.aio.Server]) -> tuple[grpc.aio.Server, Callable[[], int]]:
    """Make a gRPC server; return it with the number of calls it has received, by Channelz.

    Channelz does not say which server is whose: it is the one that was not there before. The count
    stays 0 where Channelz is off.
    """
    before = _server_ids()
    server = make()
    new = _server_ids() - before

    def received() -> int:
        return sum(_calls_started(server_id) for server_id in new)

    return server, received


def _server_ids() -> set[int]:
    found: set[int] = set()
    while True:  # a page at a time
        request = channelz_pb2.GetServersRequest(start_server_id=max(found, default=0) + 1)
        page = _CHANNELZ.GetServers(request, None)
        found |= {server.ref.server_id for server in page.server}
        if page.end or not page.server:
            return found


def _calls_started(server_id: int) -> int:
    request = channelz_pb2.GetServerRequest(server_id=server_id)
    return int(_CHANNELZ.GetServer(request, None).server.data.calls_started)
