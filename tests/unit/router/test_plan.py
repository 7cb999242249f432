"""Plans: what of a policy travels with a request, to which tiers."""

from __future__ import annotations

import pytest

from offramp.decision.plan import NEVER
from router.config import PolicySettings
from router.objective import solve
from router.plan import activate
from router.policy import Wishes
from tests.support.cascade import EXITS, make_bundle, make_route


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    route = make_route(make_bundle(tmp_path_factory.mktemp("plan") / "bundle"))
    settings = PolicySettings.model_validate({"objective": {"threshold": 0.9}})
    return activate(route, solve(route, settings), version=1)


def test_a_leg_carries_its_own_tiers_exits(policy):
    small, large = policy.plan.legs
    assert [(t.exit, t.threshold) for t in small.plan.thresholds] == [("small", 0.9)]
    assert [t.exit for t in large.plan.thresholds] == list(EXITS[1:])
    assert (small.plan.last_exit, large.plan.last_exit) == ("small", "large@3")


def test_full_depth_has_one_leg_that_ends_at_the_last_exit(policy):
    (leg,) = policy.plan_for(Wishes(full_depth=True)).legs
    assert (leg.index, leg.plan.last_exit) == (1, "large@3")
    assert [t.threshold for t in leg.plan.thresholds] == [NEVER, NEVER, 0.0]


def test_a_last_exit_in_the_small_tier_leaves_the_large_one_out(policy):
    plan = policy.plan_for(Wishes(last_exit="small"))
    assert [leg.index for leg in plan.legs] == [0]
    assert plan.last_exit == "small"


def test_a_last_exit_in_the_large_tier_cuts_its_leg(policy):
    plan = policy.plan_for(Wishes(last_exit="large@1"))
    assert plan.legs[1].plan.last_exit == plan.last_exit == "large@1"
    assert [t.exit for t in plan.legs[1].plan.thresholds] == ["large@1"]


def test_the_answer_shows_a_threshold_for_every_exit_of_the_route(policy):
    plan = policy.plan_for(Wishes(last_exit="large@1"))
    shown = [(t.exit, t.threshold) for t in plan.told.thresholds]
    assert shown == list(zip(EXITS, (0.9, 0.0, NEVER, NEVER), strict=True))
