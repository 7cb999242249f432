"""The router's settings: bounds, and which part of a change needs a restart."""

from __future__ import annotations

import copy

import pytest
import yaml
from pydantic import ValidationError

from offramp.decision.guarantee import Loss, Terms
from offramp.decision.risk import Method
from router.config import Objective, PolicySettings, RouterSettings, fixed_differences
from tests.support.cascade import settings_for


@pytest.fixture
def data(tmp_path):
    return settings_for(tmp_path, {"small": "localhost:1", "large": "localhost:2"})


@pytest.mark.parametrize(
    "objective",
    [
        {"thresholds": {"small": 0.9}},
        {"max_accuracy_loss": 0.01},
        {"max_disagreement": 0.01, "method": "crc"},
    ],
)
def test_a_policys_yaml_parses_back_to_it(objective):
    policy = PolicySettings.model_validate({"objective": objective, "confidence": "entropy"})
    assert PolicySettings.model_validate(yaml.safe_load(policy.as_yaml())) == policy


@pytest.mark.parametrize(
    "objective",
    [
        {},
        {"threshold": None},
        {"threshold": 0.5, "speedup": 2},
        {"threshold": True},
        {"threshold": "0.5"},
        {"threshold": -0.1},
        {"threshold": float("nan")},
        {"thresholds": {"small": 1.1}},
        {"max_accuracy_loss": 0},
        {"max_accuracy_loss": 1},
        {"max_disagreement": "0.1"},
        {"max_accuracy_loss": 0.1, "max_disagreement": 0.1},
        {"max_accuracy_loss": 0.1, "confidence": 1},
        {"max_accuracy_loss": 0.1, "method": "bonferroni"},
        {"max_accuracy_loss": 0.1, "confidence": 0.9, "method": "crc"},
        {"confidence": 0.9},
        {"speedup": 2, "confidence": 0.9},
        {"threshold": 0.9, "method": "ltt"},
        {"mean_cost": 0},
        {"speedup": 0.5},
        {"speedup": float("inf")},
    ],
)
def test_objectives_out_of_shape_or_range_are_refused(objective):
    with pytest.raises(ValidationError):
        Objective.model_validate(objective)


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (
            {"speedup": 2, "method": "wsr", "confidence": 0.9},
            "confidence and method: only for max_accuracy_loss and max_disagreement; leave out",
        ),
        (
            {"max_disagreement": 0.1, "confidence": 0.9, "method": "crc"},
            "method crc holds in expectation, not with a confidence",
        ),
    ],
)
def test_terms_that_do_not_fit_are_said_to_and_what_to_do(objective, message):
    with pytest.raises(ValidationError, match=message):
        Objective.model_validate(objective)


def test_an_objectives_terms_are_filled_with_the_defaults():
    found = Objective.model_validate({"max_accuracy_loss": 0.01}).terms
    assert found == Terms(Loss.ACCURACY, 0.01, Method.LTT, 0.95)
    given = {"max_disagreement": 0.02, "confidence": 0.9, "method": "wsr"}
    assert Objective.model_validate(given).terms == Terms(Loss.DISAGREEMENT, 0.02, Method.WSR, 0.9)
    assert Objective(speedup=4.0).terms is None


def test_only_a_cost_objective_has_a_target_cost():
    assert Objective(speedup=4.0).target_cost == 0.25
    assert Objective(mean_cost=0.3).target_cost == 0.3
    assert Objective(threshold=0.9).target_cost is None


def test_a_changed_policy_needs_no_restart(data):
    changed = copy.deepcopy(data)
    changed["routes"]["sentiment"]["policy"] = {"objective": {"speedup": 3}}
    before, after = (RouterSettings.model_validate(d) for d in (data, changed))
    assert fixed_differences(before, after) == ()


def test_changed_fixed_settings_are_named_by_their_paths(data):
    changed = copy.deepcopy(data)
    changed["tiers"]["large"]["address"] = "localhost:3"
    changed["limits"]["max_in_flight"] = 7
    changed["routes"]["sentiment"]["tiers"] = ["large", "small"]
    changed["routes"]["extra"] = data["routes"]["sentiment"]
    before, after = (RouterSettings.model_validate(d) for d in (data, changed))
    assert fixed_differences(before, after) == (
        "limits.max_in_flight",
        "tiers.large.address",
        "routes.sentiment.tiers",
        "routes.extra",
    )


@pytest.mark.parametrize("name", ["", "a b", "(unknown)", "../x"])
def test_route_names_are_plain(data, name):
    data["routes"][name] = data["routes"].pop("sentiment")
    with pytest.raises(ValidationError, match="is not a name"):
        RouterSettings.model_validate(data)


def test_a_tier_may_have_another_name_in_its_bundle(data):
    data["tiers"]["small"]["tier"] = "tiny"
    settings = RouterSettings.model_validate(data)
    assert settings.tier_in_bundle("small") == "tiny"
    assert settings.tier_in_bundle("large") == "large"
