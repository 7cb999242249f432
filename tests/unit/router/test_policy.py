"""Policy: from wishes to the bounds of one request."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from offramp.decision.plan import NEVER
from offramp.errors import InvalidRequestError
from router.config import OverrideLimits
from router.policy import ALWAYS, Wishes, restrict, tier_spans
from tests.support.cascade import EXITS

TIERS = ("small", "large", "large", "large")
COSTS = (0.02, 0.35, 0.69, 1.02)

unit = st.floats(0, 1)
vectors = st.tuples(unit, unit, unit).map(lambda t: (*t, ALWAYS))
wishes = st.builds(
    Wishes,
    min_confidence=st.none() | unit,
    max_cost=st.none() | st.floats(COSTS[0], 2),
    last_exit=st.none() | st.sampled_from(EXITS),
)


def bounds(thresholds, wish, allowed=None):
    return restrict(
        wish,
        exits=EXITS,
        tiers=TIERS,
        costs=COSTS,
        thresholds=thresholds,
        allowed=allowed or OverrideLimits(),
    )


@given(vectors)
def test_without_wishes_the_policys_thresholds_stand(thresholds):
    found = bounds(thresholds, Wishes())
    assert (found.thresholds, found.last, found.first) == (thresholds, 3, 0)


@given(vectors, wishes)
def test_wishes_never_lower_a_threshold_before_the_last_exit_allowed(thresholds, wish):
    found = bounds(thresholds, wish)
    for before, after in zip(thresholds[: found.last], found.thresholds, strict=False):
        assert after >= before


@given(vectors, wishes)
def test_the_last_exit_allowed_always_answers_and_deeper_ones_never(thresholds, wish):
    found = bounds(thresholds, wish)
    assert found.thresholds[found.last] == ALWAYS
    assert set(found.thresholds[found.last + 1 :]) <= {NEVER}


@given(vectors, unit)
def test_min_confidence_raises_what_is_below_it_and_nothing_else(thresholds, floor):
    found = bounds(thresholds, Wishes(min_confidence=floor))
    assert found.thresholds == (*(max(t, floor) for t in thresholds[:-1]), ALWAYS)


@given(vectors, st.floats(COSTS[0], 2))
def test_max_cost_allows_the_deepest_exit_within_it(thresholds, max_cost):
    found = bounds(thresholds, Wishes(max_cost=max_cost))
    assert COSTS[found.last] <= max_cost
    assert found.last == 3 or COSTS[found.last + 1] > max_cost


@given(vectors, st.floats(COSTS[0], 2), st.sampled_from(EXITS))
def test_of_max_cost_and_last_exit_the_shallower_counts(thresholds, max_cost, last_exit):
    found = bounds(thresholds, Wishes(max_cost=max_cost, last_exit=last_exit))
    by_cost = bounds(thresholds, Wishes(max_cost=max_cost)).last
    assert found.last == min(by_cost, EXITS.index(last_exit))


@given(vectors)
def test_full_depth_skips_the_small_tier_and_all_early_exits(thresholds):
    found = bounds(thresholds, Wishes(full_depth=True))
    assert (found.first, found.last) == (1, 3)
    assert found.thresholds == (NEVER, NEVER, NEVER, ALWAYS)


@given(st.floats() | st.just(math.nan))
def test_confidences_out_of_range_are_refused(value):
    assume(not 0 <= value <= 1)
    with pytest.raises(InvalidRequestError) as caught:
        bounds((0.9,) * 4, Wishes(min_confidence=value))
    assert [v.field for v in caught.value.violations] == ["override.min_confidence"]


@given(st.floats())
def test_costs_that_no_exit_meets_are_refused(value):
    assume(not COSTS[0] <= value < math.inf)
    with pytest.raises(InvalidRequestError) as caught:
        bounds((0.9,) * 4, Wishes(max_cost=value))
    assert [v.field for v in caught.value.violations] == ["override.max_cost"]


def test_a_cost_below_all_exits_names_the_cheapest():
    with pytest.raises(InvalidRequestError, match=r"cheapest exit is small at 0\.02"):
        bounds((0.9,) * 4, Wishes(max_cost=0.01))


@pytest.mark.parametrize(
    ("name", "value"),
    [("min_confidence", 0.0), ("max_cost", 1.0), ("last_exit", "small"), ("full_depth", True)],
)
def test_each_wish_can_be_disallowed(name, value):
    allowed = OverrideLimits.model_validate({name: False})
    with pytest.raises(InvalidRequestError, match=f"override.{name}: this route does not allow it"):
        bounds((0.9,) * 4, Wishes(**{name: value}), allowed)


def test_every_wrong_wish_is_named_at_once():
    wish = Wishes(min_confidence=2, max_cost=-1, last_exit="x")
    with pytest.raises(InvalidRequestError) as caught:
        bounds((0.9,) * 4, wish)
    assert len(caught.value.violations) == 3


def test_spans_part_the_exits_by_tier():
    assert tier_spans(TIERS) == [(0, 1), (1, 4)]
    assert tier_spans(("a", "a", "b", "c", "c")) == [(0, 2), (2, 3), (3, 5)]
    assert tier_spans(("a",)) == [(0, 1)]
