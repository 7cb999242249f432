"""Loading: a file's text becomes solved policies; what is solved already is kept."""

from __future__ import annotations

import pytest
import yaml

from offramp.errors import BundleError, ConfigError
from router.loading import content_hash, load_routes, parse_settings, prepare, solve_text
from tests.support.cascade import make_bundle, make_route, settings_for

ADDRESSES = {"small": "localhost:1", "large": "localhost:2"}


@pytest.fixture(scope="module")
def route(tmp_path_factory):
    return make_route(make_bundle(tmp_path_factory.mktemp("loading") / "bundle"))


def text_with(objective: dict) -> str:
    return yaml.safe_dump(settings_for("bundle", ADDRESSES, policy={"objective": objective}))


def test_a_policy_that_is_solved_already_is_not_solved_again(route):
    text = text_with({"speedup": 3})
    first = prepare(text, "f", {"sentiment": route}).solutions["sentiment"]
    again = prepare(text, "f", {"sentiment": route}, [first]).solutions["sentiment"]
    assert again is first


def test_another_policy_is_solved_anew(route):
    first = prepare(text_with({"speedup": 3}), "f", {"sentiment": route}).solutions["sentiment"]
    other = prepare(text_with({"speedup": 2}), "f", {"sentiment": route}, [first])
    assert other.solutions["sentiment"].forecast.mean_cost > first.forecast.mean_cost


def test_routes_that_are_not_served_are_not_solved(route):
    assert prepare(text_with({"speedup": 3}), "f", {}).solutions == {}


def test_the_hash_is_of_the_text(route):
    text = text_with({"speedup": 3})
    assert prepare(text, "f", {"sentiment": route}).hash == content_hash(text)
    assert content_hash(text) != content_hash(text + " ")


def test_a_policy_by_itself_is_solved_or_refused_at_its_line(route):
    assert solve_text("objective: {threshold: 0.7}", route).thresholds[0] == 0.7
    with pytest.raises(ConfigError, match=r"^yaml:2: objective\.mean_cost: mean cost 1e-09 is"):
        solve_text("objective:\n  mean_cost: 1.0e-9", route)


def test_a_route_whose_tiers_are_not_the_bundles_is_refused(tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    data = settings_for(bundle, {"large": "localhost:2", "small": "localhost:1"})
    settings = parse_settings(yaml.safe_dump(data), "f")
    with pytest.raises(BundleError, match="is a cascade of small, large, the route lists large"):
        load_routes(settings)


def test_a_tier_is_matched_by_its_name_in_the_bundle(tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    data = settings_for(bundle, {"quick": "localhost:1", "large": "localhost:2"})
    data["tiers"]["quick"]["tier"] = "small"
    route = load_routes(parse_settings(yaml.safe_dump(data), "f"))["sentiment"]
    assert [tier.name for tier in route.tiers] == ["quick", "large"]
    assert route.tiers[0].exits == ("small",)
