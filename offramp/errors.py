"""The tree of errors; each knows its gRPC status, and `offramp.rpc.guard` translates.

OfframpError
├── ConfigError            start-up or reload: the file is wrong
├── BundleError            start-up: the bundle is missing, broken or of another make
├── InvalidRequestError    the caller can mend it: names fields and remedies
├── UnknownRouteError
├── OverloadedError        a queue is full: try again after `retry_after_seconds`
├── DeadlineError          time ran out before any exit had an answer
├── PolicyNotSharedError   a policy can be set in one process only, and there are several
├── TierUnavailableError   a tier that was needed is out of reach
├── RouterUnavailableError client side: no router answers at the address
└── ClientClosedError      client side: the client was closed
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import grpc

# Of what a client sent, so much is said back: gRPC takes no status of any length.
LONGEST_QUOTE = 100


def quoted(text: str) -> str:
    """What a client sent, as an error says it back: its beginning, if it is long."""
    return repr(text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}…")


@dataclass(frozen=True, slots=True)
class Violation:
    """One invalid field: its path in the request or config, and what to do about it."""

    field: str
    description: str


class OfframpError(Exception):
    """Base of all errors that a caller or operator may see."""

    code: grpc.StatusCode = grpc.StatusCode.INTERNAL
    reason = "INTERNAL"


class ConfigError(OfframpError):
    """A configuration that cannot be used; the message names file, line and key."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "CONFIG_INVALID"


class BundleError(OfframpError):
    """A bundle that cannot be served; the message says what to do."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "BUNDLE_UNUSABLE"


class InvalidRequestError(OfframpError):
    """A request that no retry will make right."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "INVALID_REQUEST"

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(f"{v.field}: {v.description}" for v in violations))
        self.violations = tuple(violations)


class UnknownRouteError(OfframpError):
    """A route that this router does not serve."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "ROUTE_UNKNOWN"


class OverloadedError(OfframpError):
    """A bounded queue is full."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"

    def __init__(self, message: str, retry_after_seconds: float = 0.1) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class PolicyNotSharedError(OfframpError):
    """A policy that would hold in one of several workers; the file reaches all of them."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "POLICY_NOT_SHARED"


class DeadlineError(OfframpError):
    """The deadline passed before any exit had an answer."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    reason = "DEADLINE"


class TierUnavailableError(OfframpError):
    """A tier that this request needed cannot be reached."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "TIER_UNAVAILABLE"


class RouterUnavailableError(OfframpError):
    """No router answers at the address that a client was given."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "ROUTER_UNAVAILABLE"


class ClientClosedError(OfframpError):
    """The client was closed before the call, or while it was under way."""

    code = grpc.StatusCode.CANCELLED
    reason = "CLIENT_CLOSED"
