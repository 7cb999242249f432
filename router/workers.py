"""Workers: several routers on one address, where one core is not enough for the requests.

Each is a process and a whole router. The kernel parts the connections among them (SO_REUSEPORT);
they share nothing else. All follow the config file, and each has a metrics page of its own, on the
ports from the first one's on.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from offramp.config import ServerSettings, load
from offramp.errors import ConfigError
from offramp.process.child import Child
from offramp.process.keeping import keep_alive
from offramp.process.ready import Ready
from offramp.rpc.addresses import host_and_port, is_unix, obstacle, with_port
from router.config import RouterSettings

log = logging.getLogger(__name__)

LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Worker:
    """Which worker a router is, from 1 on, and of how many."""

    number: int = 1
    count: int = 1

    @classmethod
    def read(cls, written: str) -> Worker:
        """What str() wrote."""
        number, count = map(int, written.split("/"))
        return cls(number, count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


async def serve(
    path: Path, count: int, address: str | None = None, metrics_address: str | None = None
) -> int:
    """Run so many workers until a signal, and drain them; 1 where one had to be killed.

    Start-up is all or nothing; later each worker is kept alive. SIGHUP reaches all. Addresses: in
    place of the file's. Raises ConfigError where the address cannot be shared or is taken, Died
    where a worker does not come up.
    """
    server = load(path, RouterSettings).server
    given = {"address": address, "metrics_address": metrics_address}
    server = server.model_copy(update={key: value for key, value in given.items() if value})
    with _reserved(server.address) as reserved:
        shared = server.model_copy(update={"address": reserved})
        workers = [
            Child(f"worker {number}", "router", _arguments(path, shared, number, count))
            for number in range(1, count + 1)
        ]
        try:
            ready = await _start(workers)
            stop = _on_signals(workers)
            print(Ready("router", reserved, ready[0].metrics).line(), flush=True)
            await _keep_alive(workers, stop)
            ends = await asyncio.gather(*(w.stop(server.drain_seconds) for w in workers))
            return 0 if all(ends) else 1
        finally:
            for worker in workers:
                worker.kill()


async def _start(workers: Sequence[Child]) -> list[Ready]:
    starts = [asyncio.create_task(worker.start()) for worker in workers]
    try:
        return await asyncio.gather(*starts)
    finally:
        for start in starts:
            start.cancel()
        await asyncio.gather(*starts, return_exceptions=True)


def _on_signals(workers: Sequence[Child]) -> asyncio.Event:
    """What SIGTERM and SIGINT set; SIGHUP is passed on."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    loop.add_signal_handler(signal.SIGHUP, _pass_on, workers)
    return stop


def _pass_on(workers: Sequence[Child]) -> None:
    for worker in workers:
        worker.send_signal(signal.SIGHUP)


async def _keep_alive(workers: Sequence[Child], stop: asyncio.Event) -> None:
    watchers = [asyncio.create_task(keep_alive(w, Child.start, log.error)) for w in workers]
    await stop.wait()
    for watcher in watchers:
        watcher.cancel()
    await asyncio.gather(*watchers, return_exceptions=True)


def _arguments(path: Path, server: ServerSettings, number: int, count: int) -> list[str]:
    host, port = host_and_port(server.metrics_address)
    own_port = port + number - 1 if port else 0
    if own_port > LAST_PORT:
        raise ConfigError(
            f"server.metrics_address: {count} workers take so many ports from {port} on, and "
            f"{LAST_PORT} is the last; begin at a lower one"
        )
    return [
        *("--config", str(path)),
        *("--address", server.address),
        *("--metrics-address", f"{host}:{own_port}"),
        *("--worker", str(Worker(number, count))),
    ]


@contextmanager
def _reserved(address: str) -> Iterator[str]:
    """The address, its port chosen where it is 0, kept from others while no worker listens."""
    if is_unix(address):
        raise ConfigError(
            f"server.address: {address} cannot be shared by several workers; give host:port, or "
            "set workers to 1"
        )
    taken = obstacle(address)
    if taken:
        raise ConfigError(f"server.address: cannot listen on {address} ({taken})")
    host, port = host_and_port(address)
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        keeper.bind((host.strip("[]"), port))
        yield with_port(address, keeper.getsockname()[1])
