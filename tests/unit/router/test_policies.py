"""Policies: what an operator puts over the file's, and what is left of it afterwards."""

from __future__ import annotations

import asyncio

import pytest

from router.config import PolicySettings
from router.objective import solve
from router.policies import Policies
from tests.support.cascade import make_bundle, make_route


@pytest.fixture(scope="module")
def route(tmp_path_factory):
    return make_route(make_bundle(tmp_path_factory.mktemp("policies") / "bundle"))


def solution(route, threshold):
    settings = PolicySettings.model_validate({"objective": {"threshold": threshold}})
    return solve(route, settings)


@pytest.fixture
def policies(route):
    return Policies({route.name: route}, {route.name: solution(route, 0.9)}, lambda policy: None)


def scheduled():
    """Timers of the running loop that were not cancelled."""
    timers = asyncio.get_running_loop()._scheduled
    return [timer for timer in timers if not timer.cancelled()]


async def test_a_policy_that_is_replaced_leaves_no_timer(policies, route):
    for threshold in (0.5, 0.6, 0.7):
        policies.overlay(route.name, solution(route, threshold), 3600.0)
    assert len(scheduled()) == 1
    policies.overlay(route.name, solution(route, 0.8), None)
    assert scheduled() == []
    assert policies[route.name].source == "admin"


async def test_a_change_of_the_file_leaves_no_timer(policies, route):
    policies.overlay(route.name, solution(route, 0.5), 3600.0)
    policies.load({route.name: solution(route, 0.95)}, file_changed=True)
    assert scheduled() == []
    assert policies[route.name].source == "file"


async def test_the_time_of_a_policy_that_was_replaced_does_not_end_its_successor(policies, route):
    policies.overlay(route.name, solution(route, 0.5), 0.01)
    policies.overlay(route.name, solution(route, 0.6), None)
    await asyncio.sleep(0.05)
    assert policies[route.name].source == "admin"
