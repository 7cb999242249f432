"""A gRPC server as all services here run it: health, reflection, channelz, metrics, TLS, drain."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any
from wsgiref.simple_server import WSGIServer

import grpc
from grpc_channelz.v1 import channelz, channelz_pb2_grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

from offramp.config import ServerSettings, TlsSettings
from offramp.errors import ConfigError, DeadlineError
from offramp.process.ready import Ready
from offramp.rpc.addresses import host_and_port, is_unix, obstacle, with_port
from offramp.rpc.guard import CallGuard
from offramp.rpc.server import Server

log = logging.getLogger(__name__)

# The asyncio servicers of both packages, which their type information does not mention.
_ASYNC_HEALTH: Any = vars(health)["aio"]
_ASYNC_CHANNELZ: Any = vars(channelz)["aio"]

# Messages beyond the limit are refused by `CallGuard`, in words; gRPC's own hard limit, which
# cannot name a remedy, lies this much higher.
HARD_LIMIT_FACTOR = 4
# Calls that gRPC has received and the server not yet taken in. By default it cancels some at random
# beyond a thousand, and all that waited for half a minute; who is turned away is for the service to
# say, with a remedy, and how long a call may take is for its deadline.
MOST_UNTAKEN_CALLS = 65_536
MOST_UNTAKEN_SECONDS = 3600
OBJECTS_BETWEEN_COLLECTIONS = 20_000
MOST_WATCHER_SECONDS = 0.25
# Who watches the health hears within this time that the server drains, and is let go.
FAREWELL_SECONDS = 0.05


class GrpcServer:
    """Owns one gRPC server and its metrics page; servicers are registered on `.grpc`.

    shared: other processes may listen on the same address; the kernel parts the connections.
    """

    def __init__(
        self,
        settings: ServerSettings,
        service: str,
        registry: CollectorRegistry,
        *,
        shared: bool = False,
    ) -> None:
        self.settings = settings
        self.service = service
        self.registry = registry
        ProcessCollector(registry=registry)
        self.port = 0
        self.metrics_port = 0
        limit = settings.max_message_bytes
        guard = CallGuard(registry, limit)
        options = [
            ("grpc.max_receive_message_length", limit * HARD_LIMIT_FACTOR),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", int(shared)),
            ("grpc.server.max_pending_requests", MOST_UNTAKEN_CALLS),
            ("grpc.server.max_pending_requests_hard_limit", MOST_UNTAKEN_CALLS),
            ("grpc.server_max_unrequested_time_in_server", MOST_UNTAKEN_SECONDS),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ]
        self.grpc = Server(guard.wrapped, options)
        self._watches: set[asyncio.Task[Any]] = set()
        self._health = _health_servicer(self._watches)
        self._health_names: tuple[str, ...] = ("",)
        self._metrics_server: WSGIServer | None = None
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.grpc)
        channelz_pb2_grpc.add_ChannelzServicer_to_server(
            _ASYNC_CHANNELZ.ChannelzServicer(), self.grpc
        )

    def enable_reflection(self, *services: str) -> None:
        """Name the services registered on `.grpc`, for reflection and for health per service."""
        self._health_names = ("", *services)
        standard = (health.SERVICE_NAME, "grpc.channelz.v1.Channelz", reflection.SERVICE_NAME)
        reflection.enable_server_reflection((*services, *standard), self.grpc)

    async def start(self) -> None:
        """Bind and serve, health NOT_SERVING. Raises ConfigError where an address is taken."""
        await self.set_serving(False)
        self.port = self._bind()
        await self.grpc.start()
        self._metrics_server = _serve_metrics(self.settings.metrics_address, self.registry)
        self.metrics_port = self._metrics_server.server_port

    def _bind(self) -> int:
        address = self.settings.address
        taken = obstacle(address) if is_unix(address) else None
        if taken:
            raise ConfigError(f"server.address: cannot listen on {address} ({taken})")
        try:
            if self.settings.tls is None:
                return self.grpc.add_insecure_port(address)
            return self.grpc.add_secure_port(address, _credentials(self.settings.tls))
        except RuntimeError:
            raise ConfigError(
                f"server.address: cannot listen on {address}; is another process using it?"
            ) from None

    async def set_serving(self, serving: bool) -> None:
        """Set the health of the server and of each of its services."""
        status = health_pb2.HealthCheckResponse.ServingStatus
        value = status.SERVING if serving else status.NOT_SERVING
        for name in self._health_names:
            await self._health.set(name, value)

    async def drain(self) -> None:
        """Refuse new calls, let those in flight end within drain_seconds, then stop."""
        await self._health.enter_graceful_shutdown()
        if self._watches:
            await asyncio.sleep(FAREWELL_SECONDS)
            for watch in self._watches:  # which would go on for as long as the server waits
                watch.cancel()
        await self.grpc.stop(self.settings.drain_seconds)
        if self._metrics_server is not None:
            with contextlib.suppress(OSError):
                # Wakes its thread, which looks by itself only twice a second whether it should end.
                self._metrics_server.socket.shutdown(socket.SHUT_RDWR)
            await asyncio.to_thread(self._metrics_server.shutdown)
            self._metrics_server.server_close()

    def announce(self) -> None:
        """Print the ready line that supervisors wait for."""
        address = with_port(self.settings.address, self.port)
        metrics = with_port(self.settings.metrics_address, self.metrics_port)
        print(Ready(self.service, address, metrics).line(), flush=True)


def _health_servicer(watches: set[asyncio.Task[Any]]) -> Any:
    """The package's, which writes to who watches it under the lock that `set` takes: a client that
    watches and does not read would keep the service from starting, and from ending.

    watches: keeps the calls that watch.
    """
    servicer = _ASYNC_HEALTH.HealthServicer()
    watch = servicer.Watch

    async def kept(request: Any, context: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        watches.add(task)
        try:
            await watch(request, _Watcher(context))
        finally:
            watches.discard(task)

    servicer.Watch = kept
    return servicer


class _Watcher:
    """The context of who watches the health: reads what is sent in time, or is let go."""

    def __init__(self, context: Any) -> None:
        self._context = context

    async def write(self, message: Any) -> None:
        try:
            await asyncio.wait_for(self._context.write(message), MOST_WATCHER_SECONDS)
        except TimeoutError:
            raise DeadlineError("the health that is watched has not been read") from None


async def run(server: GrpcServer, *, on_hup: Callable[[], None] | None = None) -> None:
    """Mark a started server as serving, announce it, and drain it at SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    if on_hup is not None:
        loop.add_signal_handler(signal.SIGHUP, on_hup)
    await server.set_serving(True)
    server.announce()
    collect_rarely()
    await stop.wait()
    log.info("draining %s for at most %s s", server.service, server.settings.drain_seconds)
    await server.drain()


def collect_rarely() -> None:
    """Leave what is there by now, which stays, out of garbage collections, and have fewer of them.

    What a call makes is hardly ever in cycles, and a collection looks at all that is alive.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)


def configure_logging() -> None:
    """One line per record on standard error."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )


def _serve_metrics(address: str, registry: CollectorRegistry) -> WSGIServer:
    host, port = host_and_port(address)
    try:
        # A name that stands for addresses of both kinds is the IPv4 one, where `obstacle` looks.
        found = host.strip("[]") if host.startswith("[") else socket.gethostbyname(host)
        return start_http_server(port, found, registry)[0]
    except OSError as error:
        raise ConfigError(f"server.metrics_address: cannot listen on {address} ({error})") from None


def _credentials(tls: TlsSettings) -> grpc.ServerCredentials:
    try:
        key, certificate = tls.key.read_bytes(), tls.certificate.read_bytes()
        client_ca = tls.client_ca.read_bytes() if tls.client_ca else None
    except OSError as error:
        raise ConfigError(f"server.tls: cannot read {error.filename} ({error.strerror})") from None
    return grpc.ssl_server_credentials(
        [(key, certificate)], client_ca, require_client_auth=client_ca is not None
    )
