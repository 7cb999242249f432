"""What `import offramp` gives, and what it must not cost."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import offramp
from offramp.client import AsyncClient, Client
from offramp.client.admin import AsyncAdmin
from offramp.client.synchronous import Admin


def test_the_public_names_are_these():
    assert sorted(offramp.__all__) == [
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


@pytest.mark.parametrize("name", offramp.__all__)
def test_a_public_name_is_there_and_documented(name):
    value = getattr(offramp, name)
    assert value.__name__ == name
    assert value.__doc__
    assert name in dir(offramp)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Clint"):
        _ = offramp.Clint


def test_importing_offramp_loads_neither_grpc_nor_numpy():
    script = "import offramp, sys; print(sorted({'grpc', 'numpy', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("asynchronous", "blocking"), [(AsyncClient, Client), (AsyncAdmin, Admin)])
def test_the_blocking_face_has_every_method_with_the_same_parameters(asynchronous, blocking):
    methods = [name for name in vars(asynchronous) if not name.startswith("_")]
    assert methods
    for name in methods:
        expected = list(inspect.signature(getattr(asynchronous, name)).parameters)
        assert list(inspect.signature(getattr(blocking, name)).parameters) == expected, name


def test_both_clients_are_made_with_the_same_parameters():
    assert inspect.signature(AsyncClient) == inspect.signature(Client)
