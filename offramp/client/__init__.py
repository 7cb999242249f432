"""The client SDK: `AsyncClient`, and `Client` for code that does not await."""

from offramp.client.asynchronous import AsyncClient
from offramp.client.connection import Retries, Tls
from offramp.client.operations import (
    Audits,
    Policy,
    ReloadStatus,
    RouterStatus,
    RouteStatus,
    TierStatus,
)
from offramp.client.results import (
    Classification,
    Cost,
    ExitStep,
    ItemFailure,
    Outcome,
    Override,
    TierStep,
    Timing,
)
from offramp.client.synchronous import Client

__all__ = [
    "AsyncClient",
    "Audits",
    "Classification",
    "Client",
    "Cost",
    "ExitStep",
    "ItemFailure",
    "Outcome",
    "Override",
    "Policy",
    "ReloadStatus",
    "Retries",
    "RouteStatus",
    "RouterStatus",
    "TierStatus",
    "TierStep",
    "Timing",
    "Tls",
]
