"""The setting that the cascade is measured at beside others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bench.peers.runs import spend_less
from offramp.client import AsyncClient
from tests.integration.router.conftest import Stack
from training.figures import SPEEDUPS


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[AsyncClient]:
    """A client of a real router."""
    async with Stack(folder).serving() as stack:
        address = f"127.0.0.1:{stack.router.server.port}"
        async with AsyncClient(address) as client:
            yield client


async def lost(client: AsyncClient, speedup: float) -> float:
    """What the evidence expects."""
    found = (await client.admin.check_policy({"objective": {"speedup": speedup}})).forecast
    return found.full_depth_accuracy - found.accuracy


@pytest.mark.parametrize("allowed", [0.02, 0.08])
async def test_the_fastest_setting_before_too_much_is_lost_is_put_in_force(tmp_path: Path, allowed):
    async with serving(tmp_path) as client:
        kept = await spend_less(client.admin, allowed)
        place = SPEEDUPS.index(kept)
        assert 0 < place < len(SPEEDUPS) - 1
        assert all([await lost(client, s) <= allowed for s in SPEEDUPS[: place + 1]])
        assert await lost(client, SPEEDUPS[place + 1]) > allowed
        (route,) = (await client.admin.status()).routes
        in_force = await client.admin.policy()
    assert in_force.version == route.policy_version > 1
    assert f"speedup: {kept}" in in_force.yaml


async def test_a_setting_out_of_reach_ends_the_search(tmp_path: Path):
    async with serving(tmp_path) as client:
        kept = await spend_less(client.admin, 1.0)
        assert (await client.admin.policy()).forecast.speedup >= kept
