"""Mutual TLS on every hop: client to router, router to two real tiers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import yaml

from offramp.client import AsyncClient, Override, Retries, Tls
from offramp.errors import RouterUnavailableError
from router.app import Router
from services.server import TierServer
from services.settings import TierSettings

CERTIFICATES = Path(__file__).parent.parent / "data" / "tls"
SERVER = {
    "certificate": str(CERTIFICATES / "server.pem"),
    "key": str(CERTIFICATES / "server.key"),
    "client_ca": str(CERTIFICATES / "ca.pem"),
}
CLIENT = {
    "ca": str(CERTIFICATES / "ca.pem"),
    "certificate": str(CERTIFICATES / "client.pem"),
    "key": str(CERTIFICATES / "client.key"),
}
LISTEN = {"address": "127.0.0.1:0", "metrics_address": "127.0.0.1:0", "drain_seconds": 0}


@asynccontextmanager
async def serving_tier(name: str, bundle: Path) -> AsyncIterator[str]:
    settings = TierSettings.model_validate(
        {"server": {**LISTEN, "tls": SERVER}, "bundle": str(bundle), "engine": {"warmup": False}}
    )
    tier = TierServer(name, settings)
    await tier.start()
    await tier.warm_up()
    try:
        yield f"localhost:{tier.port}"
    finally:
        await tier.drain()
        await tier.close()


@pytest.fixture
async def address(tiny_bundle: Path, tmp_path: Path) -> AsyncIterator[str]:
    """Of a router that wants a certificate, before tiers that do."""
    async with AsyncExitStack() as stack:
        tiers = {
            name: {
                "address": await stack.enter_async_context(serving_tier(name, tiny_bundle)),
                "tls": CLIENT,
            }
            for name in ("small", "large")
        }
        route = {
            "bundle": str(tiny_bundle),
            "tiers": ["small", "large"],
            "policy": {"objective": {"threshold": 0.9}},
        }
        config = {
            "server": {**LISTEN, "tls": SERVER},
            "limits": {"tier_wait_seconds": 20},
            "tiers": tiers,
            "routes": {"reviews": route},
        }
        path = tmp_path / "router.yaml"
        path.write_text(yaml.safe_dump(config))
        router = Router(path)
        await router.start()
        yield f"localhost:{router.server.port}"
        await router.stop()
        await router.server.drain()


async def test_a_known_client_is_answered_from_the_last_tier(address: str) -> None:
    tls = Tls(**{name: Path(path) for name, path in CLIENT.items()})
    async with AsyncClient(address, tls=tls) as client:
        answer = await client.classify("a dreadful film", override=Override(full_depth=True))
    assert answer.exit == "large@3"


@pytest.mark.parametrize("tls", [None, Tls(ca=Path(CLIENT["ca"]))], ids=["plain", "no certificate"])
async def test_a_client_without_a_certificate_is_turned_away(address: str, tls: Tls | None) -> None:
    async with AsyncClient(address, tls=tls, timeout=3, retries=Retries(attempts=1)) as client:
        with pytest.raises(RouterUnavailableError):
            await client.classify("a dreadful film")
