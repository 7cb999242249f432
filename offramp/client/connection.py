"""A connection to a router: channel, deadline, retries."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TypeVar

import grpc

from offramp import errors
from offramp.client.failures import error_of
from offramp.v1 import admin_pb2_grpc, router_pb2_grpc

Request = TypeVar("Request")
Response = TypeVar("Response")

# Answers are larger than questions: a full batch with many labels is well beyond gRPC's 4 MB.
MAX_RECEIVE_BYTES = 256 * 1024 * 1024
CLOSED = "the client was closed; make another one"


@dataclass(frozen=True, slots=True)
class Tls:
    """Encrypt the connection.

    ca: certificates to trust, PEM; the system's where absent.
    certificate, key: this client's own, for a router that asks for one.
    server_name: the name to expect in the router's certificate, where it is not the address.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files; ConfigError names the one that cannot be read."""
        try:
            read = [
                path.read_bytes() if path else None
                for path in (self.ca, self.key, self.certificate)
            ]
        except OSError as error:
            raise errors.ConfigError(f"cannot read {error.filename} ({error.strerror})") from None
        return grpc.ssl_channel_credentials(*read)


@dataclass(frozen=True, slots=True)
class Retries:
    """When to try again: only what a later try may mend, and never beyond the deadline.

    attempts: calls made at the most.  first_delay, max_delay: seconds; doubled each time, with
    jitter, so that many clients do not come back together. A router that names a delay is obeyed.
    """

    attempts: int = 3
    first_delay: float = 0.1
    max_delay: float = 2.0

    def delay(self, attempt: int, error: errors.OfframpError) -> float | None:
        """Seconds to wait after the failed `attempt` (from 1), or None to give up."""
        if attempt >= self.attempts:
            return None
        backoff = min(self.first_delay * 2.0 ** (attempt - 1), self.max_delay)
        jittered = backoff * random.uniform(0.5, 1.0)
        if isinstance(error, errors.OverloadedError):
            return max(error.retry_after_seconds, jittered)
        if error.code is grpc.StatusCode.UNAVAILABLE:
            return jittered
        return None


DEFAULT_RETRIES = Retries()


class Connection:
    """One channel, opened at the first call, on the event loop of that call."""

    def __init__(self, address: str, tls: Tls | None, timeout: float, retries: Retries) -> None:
        self.address = address
        self._credentials = tls.credentials() if tls else None
        self._server_name = tls.server_name if tls else None
        self._timeout = timeout
        self._retries = retries
        self._closed = False

    @cached_property
    def channel(self) -> grpc.aio.Channel:
        """The channel; gRPC connects and reconnects by itself."""
        options: list[tuple[str, int | str]] = [
            ("grpc.max_receive_message_length", MAX_RECEIVE_BYTES),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 2_000),
        ]
        if self._server_name:
            options.append(("grpc.ssl_target_name_override", self._server_name))
        if self._credentials is None:
            return grpc.aio.insecure_channel(self.address, options)
        return grpc.aio.secure_channel(self.address, self._credentials, options)

    @cached_property
    def router(self) -> router_pb2_grpc.RouterServiceAsyncStub:
        """The methods of RouterService."""
        self._check_open()
        return router_pb2_grpc.RouterServiceStub(self.channel)

    @cached_property
    def admin(self) -> admin_pb2_grpc.RouterAdminServiceAsyncStub:
        """The methods of RouterAdminService."""
        self._check_open()
        return admin_pb2_grpc.RouterAdminServiceStub(self.channel)

    def deadline(self, timeout: float | None) -> float:
        """The monotonic time at which a call that starts now must have ended."""
        return time.monotonic() + (self._timeout if timeout is None else timeout)

    async def call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        deadline: float,
    ) -> Response:
        """Call a method, again where that may help; raises the OfframpError of the last try."""
        for attempt in count(1):
            try:
                with self.until_closed():
                    return await method(request, timeout=_seconds_until(deadline))
            except grpc.aio.AioRpcError as failed:
                error = error_of(failed, self.address)
            delay = self._retries.delay(attempt, error)
            if delay is None or time.monotonic() + delay >= deadline:
                raise error
            await asyncio.sleep(delay)
        raise AssertionError("unreachable: the loop ends by return or raise")

    @contextmanager
    def until_closed(self) -> Iterator[None]:
        """For the life of a call: ClientClosedError where the connection is closed, or gets so."""
        self._check_open()
        try:
            yield
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._closed and not (task and task.cancelling()):
                raise errors.ClientClosedError(CLOSED) from None
            raise

    def _check_open(self) -> None:
        # Asking a closed channel for its methods would block the event loop for ever.
        if self._closed:
            raise errors.ClientClosedError(CLOSED)

    async def close(self) -> None:
        """Close the channel where one was opened; calls in flight raise ClientClosedError."""
        self._closed = True
        if "channel" in self.__dict__:
            await self.channel.close(None)


def _seconds_until(deadline: float) -> float | None:
    """What gRPC takes as a timeout: None is no limit."""
    return None if math.isinf(deadline) else max(deadline - time.monotonic(), 0.0)
