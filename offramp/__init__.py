"""Offramp: a text classifier served at a fraction of its cost. Shared by every process and client.

    from offramp import Client

    with Client("localhost:50051") as client:
        print(client.classify("a gorgeous film"))

The names below are imported when they are first used, so that `import offramp` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offramp.client import (
        AsyncClient,
        Classification,
        Client,
        ItemFailure,
        Outcome,
        Override,
        Retries,
        Tls,
    )
    from offramp.errors import (
        ClientClosedError,
        DeadlineError,
        InvalidRequestError,
        OfframpError,
        OverloadedError,
        RouterUnavailableError,
        TierUnavailableError,
        UnknownRouteError,
    )

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "Classification",
    "Client",
    "ClientClosedError",
    "DeadlineError",
    "InvalidRequestError",
    "ItemFailure",
    "OfframpError",
    "Outcome",
    "OverloadedError",
    "Override",
    "Retries",
    "RouterUnavailableError",
    "TierUnavailableError",
    "Tls",
    "UnknownRouteError",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "offramp.errors" if name.endswith("Error") else "offramp.client"
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
