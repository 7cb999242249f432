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
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from offramp.config import parse, read
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

    Start-up is all or nothing; later each worker is kept alive, with the fixed settings that it had
    at first. SIGHUP reaches all. Addresses: in place of the file's. Raises ConfigError where an
    address cannot be shared or is taken, Died where a worker does not come up.
    """
    text = read(path)
    server = parse(text, RouterSettings, str(path)).server
    given = {"address": address, "metrics_address": metrics_address}
    server = server.model_copy(update={key: value for key, value in given.items() if value})
    pages = _metrics_addresses(server.metrics_address, count)
    with _reserved(server.address) as reserved, _copy(text) as started:
        workers = [
            Child(
                f"worker {number}",
                "router",
                [
                    *("--config", str(path), "--started", str(started)),
                    *("--address", reserved, "--metrics-address", page),
                    *("--worker", str(Worker(number, count))),
                ],
            )
            for number, page in enumerate(pages, 1)
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
        if worker.serving:  # another one reads the file anyway, and would be ended by it
            worker.send_signal(signal.SIGHUP)


async def _keep_alive(workers: Sequence[Child], stop: asyncio.Event) -> None:
    watchers = [asyncio.create_task(keep_alive(w, Child.start, log.error)) for w in workers]
    await stop.wait()
    for watcher in watchers:
        watcher.cancel()
    await asyncio.gather(*watchers, return_exceptions=True)


@contextmanager
def _copy(text: str) -> Iterator[Path]:
    """The file as it is now, for workers that are started again when it has changed."""
    with tempfile.TemporaryDirectory(prefix="offramp-router-") as folder:
        copy = Path(folder) / "started.yaml"
        copy.write_text(text, encoding="utf-8")
        yield copy


def _metrics_addresses(first: str, count: int) -> list[str]:
    """One for each worker, port after port; port 0 lets the system choose each."""
    host, port = host_and_port(first)
    if port == 0:
        return [first] * count
    found = [f"{host}:{own}" for own in range(port, port + count)]
    for number, address in enumerate(found, 1):
        taken = "there is no such port" if port + number - 1 > LAST_PORT else obstacle(address)
        if taken:
            raise ConfigError(
                f"server.metrics_address: worker {number} would have its page at {address} "
                f"({taken}); name an address with {count} free ports from it on"
            )
    return found


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
        # Beside the workers, and beside what is left of connections to an earlier router.
        for option in (socket.SO_REUSEPORT, socket.SO_REUSEADDR):
            keeper.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            keeper.bind((host.strip("[]"), port))
        except OSError as error:
            why = error.strerror or str(error)
            raise ConfigError(f"server.address: cannot listen on {address} ({why})") from None
        yield with_port(address, keeper.getsockname()[1])
