"""The client over TLS, against a router that asks for a certificate."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from offramp import errors
from offramp.client import AsyncClient, Tls
from offramp.config import ServerSettings, TlsSettings
from offramp.rpc.serving import GrpcServer
from offramp.v1 import router_pb2_grpc

CERTIFICATES = Path(__file__).resolve().parents[2] / "data" / "tls"
CA = CERTIFICATES / "ca.pem"
OURS = {"certificate": CERTIFICATES / "client.pem", "key": CERTIFICATES / "client.key"}


@pytest.fixture
async def secure_address(router):
    tls = TlsSettings(
        certificate=CERTIFICATES / "server.pem", key=CERTIFICATES / "server.key", client_ca=CA
    )
    settings = ServerSettings(
        address="localhost:0", metrics_address="127.0.0.1:0", drain_seconds=0, tls=tls
    )
    server = GrpcServer(settings, "router", CollectorRegistry())
    router_pb2_grpc.add_RouterServiceServicer_to_server(router, server.grpc)
    await server.start()
    yield f"localhost:{server.port}"
    await server.drain()


async def test_both_sides_show_certificates(secure_address):
    async with AsyncClient(secure_address, tls=Tls(ca=CA, **OURS)) as client:
        assert (await client.classify("a")).label == "a"


@pytest.mark.parametrize(
    "tls", [None, Tls(ca=CA), Tls(**OURS), Tls(ca=CA, **OURS, server_name="other.example")]
)
async def test_without_the_right_certificates_there_is_no_answer(secure_address, router, tls):
    async with AsyncClient(secure_address, tls=tls, timeout=5) as client:
        with pytest.raises(errors.RouterUnavailableError):
            await client.classify("a")
    assert router.requests == []


def test_a_certificate_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(errors.ConfigError, match=r"missing\.pem"):
        AsyncClient("localhost:1", tls=Tls(ca=tmp_path / "missing.pem"))
