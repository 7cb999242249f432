"""The client's admin methods against a scripted router."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import yaml

from offramp import errors
from offramp.client import AsyncClient
from offramp.decision.confidence import Measure
from offramp.decision.guarantee import Guarantee, Loss, Terms
from offramp.decision.risk import Method

STARTED = datetime.fromtimestamp(1_700_000_000, UTC)


@pytest.fixture
async def client(address):
    async with AsyncClient(address) as client:
        yield client


async def test_status_tells_routes_tiers_and_the_last_reload(client):
    status = await client.admin.status()
    (route,) = status.routes
    (tier,) = status.tiers
    assert (status.version, status.started_at) == ("0.1.0", STARTED)
    assert (route.speedup, route.escalation_ratio, route.exits) == (4.2, 0.4, {"small": 6})
    assert (tier.reachable, tier.in_flight, tier.backend) == (True, 2, "torch-cpu-fp32")
    assert not status.reload.last_succeeded
    assert status.reload.last_attempt_at is None
    assert status.reload.restart_required == ("tiers",)


async def test_a_policy_comes_with_thresholds_and_forecast(client):
    policy = await client.admin.policy("sentiment")
    assert policy.thresholds == {"small": 0.93, "large@2": 1.0}
    assert policy.confidence is Measure.MARGIN
    assert policy.forecast.speedup == pytest.approx(5.0)
    assert policy.forecast.exit_shares == {"small": 0.7, "large@2": 0.3}
    assert policy.expires_at == STARTED


async def test_a_policy_comes_with_what_was_certified_of_it(client, admin):
    assert (await client.admin.policy()).guarantee is None
    assert (await client.admin.status()).routes[0].guarantee is None
    admin.yaml = "objective: {max_disagreement: 0.02, method: wsr, confidence: 0.9}"
    guarantee = (await client.admin.policy()).guarantee
    assert guarantee == Guarantee(
        Terms(Loss.DISAGREEMENT, 0.02, Method.WSR, 0.9), 1500, 0.012, 0.0189
    )
    admin.guarantee.method = "crc"
    admin.guarantee.ClearField("confidence")
    guarantee = (await client.admin.policy()).guarantee
    assert "in expectation, not with a confidence" in str(guarantee)


async def test_a_policy_is_set_from_a_mapping_and_for_a_time(client, admin):
    policy = await client.admin.set_policy(
        {"objective": {"threshold": 0.9}}, "sentiment", ttl=timedelta(minutes=5)
    )
    assert yaml.safe_load(policy.yaml) == {"objective": {"threshold": 0.9}}
    assert policy.version == 2
    assert admin.requests[-1].ttl.ToTimedelta() == timedelta(minutes=5)


async def test_a_check_changes_nothing(client):
    checked = await client.admin.check_policy("objective: {mean_cost: 0.3}")
    assert checked.yaml == "objective: {mean_cost: 0.3}"
    assert (await client.admin.policy()).version == 1


async def test_a_reload_of_a_broken_file_is_an_error_that_names_the_line(client):
    with pytest.raises(errors.ConfigError, match=r"router\.yaml:3"):
        await client.admin.reload()


async def test_an_unknown_route_names_those_there_are(client):
    with pytest.raises(errors.UnknownRouteError, match="sentiment"):
        await client.admin.policy("topics")


async def test_watching_sees_each_change(client):
    versions = []
    async for policy in client.admin.watch_policy():
        versions.append(policy.version)
        if len(versions) == 1:
            await client.admin.set_policy("objective: {threshold: 0.8}")
    assert versions == [1, 2]
