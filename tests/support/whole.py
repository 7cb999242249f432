"""The whole cascade over real sockets: a router before both tiers of a bundle."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from offramp.v1 import router_pb2
from router.app import Router
from services.server import TierServer
from services.settings import TierSettings
from tests.support.cascade import settings_for, write_config


@asynccontextmanager
async def cascade(
    bundle: Path, folder: Path, policy: Mapping[str, object]
) -> AsyncIterator[Router]:
    """A router that has connected to both tiers; its configuration lies in `folder`."""
    address = "127.0.0.1:0"
    server = {"address": address, "metrics_address": address, "drain_seconds": 0}
    async with AsyncExitStack() as stack:
        addresses = {}
        for name in ("small", "large"):
            settings = {"server": server, "bundle": bundle, "engine": {"threads": 1}}
            tier = TierServer(name, TierSettings.model_validate(settings))
            stack.push_async_callback(tier.close)
            await tier.start()
            stack.push_async_callback(tier.drain)
            await tier.warm_up()
            addresses[name] = f"127.0.0.1:{tier.port}"
        config = folder / "config" / "router.yaml"
        config.parent.mkdir()
        write_config(config, settings_for(bundle, addresses, policy=policy))
        made = Router(config)
        stack.push_async_callback(made.server.drain)
        stack.push_async_callback(made.stop)
        await made.start()
        yield made


async def batch(
    stub: Any, texts: Sequence[str], **override: object
) -> list[router_pb2.Classification]:
    """The Classifications of a batch."""
    inputs = [{"text": text} for text in texts]
    request = router_pb2.ClassifyBatchRequest(inputs=inputs, override=override or None)
    results = (await stub.ClassifyBatch(request, timeout=60)).results
    return [result.classification for result in results]
