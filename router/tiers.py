"""The tiers: for each, one channel, a stream that is kept open, and what the tier says it is."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import grpc

from offramp.bundle import DEFAULT_PRECISION
from offramp.errors import BundleError, ConfigError
from offramp.process.contention import Contention
from offramp.rpc import wire
from offramp.v1 import tier_pb2, tier_pb2_grpc
from router.config import RouterSettings, TierSettings, TierTls
from router.gathering import Gathering
from router.route import CostTable, Route
from router.stream import InferCall, InferStream, why

log = logging.getLogger(__name__)

DESCRIBE_TIMEOUT_SECONDS = 5.0
SHORTEST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 2.0
LOG_INTERVAL_SECONDS = 5.0
# What a tier takes that does not say it: gRPC's own default.
UNSAID_MESSAGE_BYTES = 4 * 1024 * 1024
CHANNEL_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A tier that is frozen or cut off, not closed, is found by its silence within 15 seconds.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]


@dataclass(frozen=True, slots=True)
class Description:
    """What a tier said of itself when it was last connected.

    precision: what it computes in; thresholds come from the evidence in it.
    full_depth_seconds: measured compute seconds of its last exit, by token count.
    max_message_bytes: that it takes.
    """

    backend: str
    precision: str
    full_depth_seconds: CostTable
    max_message_bytes: int


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a tier must be to serve the routes that name it.

    precisions: what it may compute in: what the bundle has evidence in.
    """

    name_in_bundle: str
    bundle_id: str
    pairs: bool
    precisions: tuple[str, ...]


class Tier:
    """One tier service: kept connected as long as `keep` runs.

    Raises ConfigError where its certificates cannot be read.
    """

    def __init__(
        self, name: str, settings: TierSettings, expectation: Expectation, stream: InferStream
    ) -> None:
        self.name = name
        self.address = settings.address
        self.stream = stream
        self.description: Description | None = None
        self._credentials = _credentials(name, settings.tls)
        self._expectation = expectation
        self._first_contact = asyncio.Event()
        self._refusal: BundleError | None = None
        self._problem = "it was not called yet"

    @property
    def precision(self) -> str:
        """What this tier computes in; fp32 before its first contact."""
        return DEFAULT_PRECISION if self.description is None else self.description.precision

    def full_depth_seconds(self, tokens: int) -> float:
        """Compute seconds of a text at this tier's last exit; 0 before its first contact."""
        if self.description is None:
            return 0.0
        return self.description.full_depth_seconds.at(tokens)

    async def keep(self) -> None:
        """Connect, serve, and connect again after every loss, until cancelled."""
        async with _channel(self.address, self._credentials) as channel:
            stub = tier_pb2_grpc.TierServiceStub(channel)
            delay = SHORTEST_DELAY_SECONDS
            while True:
                try:
                    await self._describe(stub)
                    delay = SHORTEST_DELAY_SECONDS
                    log.info("tier %s at %s is connected", self.name, self.address)
                    self._problem = ""
                    await self.stream.carry(_open(stub))
                    problem = "it ended the stream"
                except (grpc.aio.AioRpcError, BundleError) as error:
                    problem = why(error)
                except Exception:
                    log.exception("tier %s at %s", self.name, self.address)
                    problem = "it is not understood; the log has the details"
                self._note(problem)
                await asyncio.sleep(delay * random.uniform(0.5, 1.0))
                delay = min(delay * 2, LONGEST_DELAY_SECONDS)

    def _note(self, problem: str) -> None:
        """Log why there is no connection, once for as long as the reason stays the same."""
        level = logging.DEBUG if problem == self._problem else logging.WARNING
        log.log(level, "tier %s at %s: %s", self.name, self.address, problem)
        self._problem = problem

    async def _describe(self, stub: tier_pb2_grpc.TierServiceAsyncStub) -> None:
        request = tier_pb2.DescribeRequest()
        response = await stub.Describe(request, timeout=DESCRIBE_TIMEOUT_SECONDS)
        try:
            said = accept(response, self.name, self.address, self._expectation)
            if self.description is not None and said.precision != self.description.precision:
                raise BundleError(
                    f"tier {self.name!r} at {self.address} computes in {said.precision} now, but "
                    f"thresholds in force are from evidence in {self.description.precision}; "
                    f"restart the router, or the tier with `precision: "
                    f"{self.description.precision}` under `engine`"
                )
            self.description = said
            self.stream.limit(said.max_message_bytes)
        except BundleError as error:
            self._refusal = error
            raise
        finally:
            self._first_contact.set()

    async def first_contact(self, wait_seconds: float) -> None:
        """Wait until the tier has described itself.

        Raises BundleError where it serves something else, ConfigError where it stays out of reach.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wait_loudly(), wait_seconds)
        if self._refusal is not None:
            raise self._refusal
        if self.description is None:
            raise ConfigError(
                f"tiers.{self.name}.address: no tier answered at {self.address} within "
                f"{wait_seconds:g} s ({self._problem}); start it, or correct its address"
            )

    async def _wait_loudly(self) -> None:
        while not self._first_contact.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._first_contact.wait(), LOG_INTERVAL_SECONDS)
            if not self._first_contact.is_set():
                log.info("waiting for tier %s at %s: %s", self.name, self.address, self._problem)


def accept(
    response: tier_pb2.DescribeResponse, name: str, address: str, expected: Expectation
) -> Description:
    """What a tier said, if it is the one expected; BundleError with a remedy otherwise."""
    found = (response.tier, response.bundle_id, response.pairs)
    if found != (expected.name_in_bundle, expected.bundle_id, expected.pairs):
        raise BundleError(
            f"tier {name!r} at {address} serves {response.tier!r} of bundle {response.bundle_id}, "
            f"this router needs {expected.name_in_bundle!r} of bundle {expected.bundle_id}; "
            "give both the same bundle, and restart the one that was wrong"
        )
    precision = response.precision or DEFAULT_PRECISION
    if precision not in expected.precisions:
        raise BundleError(
            f"tier {name!r} at {address} computes in {precision}, the bundle has evidence in "
            f"{', '.join(expected.precisions)}; take it with `offramp calibrate BUNDLE DATA "
            f"--precision {precision}`, or run the tier in another precision"
        )
    seconds = wire.curve_from_proto(response.exits[-1].seconds)
    return Description(
        response.backend,
        precision,
        CostTable.of(seconds, response.max_tokens),
        response.max_message_bytes or UNSAID_MESSAGE_BYTES,
    )


class Tiers:
    """All tiers of a router, by their names in the config."""

    def __init__(self, tiers: Mapping[str, Tier]) -> None:
        self._tiers = dict(tiers)
        self._keepers: list[asyncio.Task[None]] = []

    def __getitem__(self, name: str) -> Tier:
        return self._tiers[name]

    def __iter__(self) -> Iterator[Tier]:
        return iter(self._tiers.values())

    async def connect(self, wait_seconds: float) -> None:
        """Connect to all and stay connected. Raises as `Tier.first_contact` does."""
        self._keepers = [asyncio.create_task(tier.keep()) for tier in self]
        await asyncio.gather(*(tier.first_contact(wait_seconds) for tier in self))

    async def close(self) -> None:
        """Hang up."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)


def make_tiers(settings: RouterSettings, routes: Iterable[Route]) -> Tiers:
    """The tiers that the routes name. Raises ConfigError where two routes disagree about one."""
    expectations: dict[str, Expectation] = {}
    for route in routes:
        for tier in route.tiers:
            expected = _expectation(route, tier.name_in_bundle)
            if expectations.setdefault(tier.name, expected) != expected:
                raise ConfigError(
                    f"routes.{route.name}.tiers: tier {tier.name!r} already serves another bundle; "
                    "a tier serves one bundle, add one under `tiers`"
                )
    limit, gathering = settings.limits.max_in_flight, Gathering(Contention().share)
    return Tiers(
        {
            name: Tier(name, settings.tiers[name], expected, InferStream(name, limit, gathering))
            for name, expected in expectations.items()
        }
    )


def _expectation(route: Route, tier: str) -> Expectation:
    manifest = route.manifest
    precisions = tuple(manifest.tier(tier).readouts)
    return Expectation(tier, manifest.id, manifest.pairs, precisions)


def _open(stub: tier_pb2_grpc.TierServiceAsyncStub) -> InferCall:
    # The type stubs do not know that a call without an iterator is one to write to.
    return cast(Callable[[], InferCall], stub.Infer)()


def _channel(address: str, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
    return grpc.aio.secure_channel(address, credentials, options=CHANNEL_OPTIONS)


def _credentials(name: str, tls: TierTls | None) -> grpc.ChannelCredentials | None:
    if tls is None:
        return None
    try:
        ca, key, certificate = (
            path.read_bytes() if path else None for path in (tls.ca, tls.key, tls.certificate)
        )
    except OSError as error:
        raise ConfigError(
            f"tiers.{name}.tls: cannot read {error.filename} ({error.strerror})"
        ) from None
    return grpc.ssl_channel_credentials(ca, key, certificate)
