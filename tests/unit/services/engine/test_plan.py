"""Plans by stage."""

import pytest

from services.engine.plan import StagePlan
from tests.support.reference import make_plan

EXITS = ("large@2", "large@4", "large@6")


def test_unlisted_exits_never_answer_and_other_tiers_are_left_out():
    plan = StagePlan.of(make_plan({"small": 0.5, "large@4": 0.9}), EXITS)
    assert plan.thresholds == (1.0, 0.9, 1.0)


@pytest.mark.parametrize(("name", "stage"), [("", 2), ("huge@3", 2), ("large@2", 0)])
def test_last_exit_is_the_tiers_own_where_the_plan_goes_deeper(name, stage):
    assert StagePlan.of(make_plan(last_exit=name), EXITS).last == stage
