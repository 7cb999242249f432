"""Objectives: from what a policy asks for to thresholds, and what is certified of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offramp.decision.confidence import Measure
from offramp.decision.frontier import Frontier
from offramp.decision.guarantee import Loss, certified
from offramp.decision.plan import NEVER
from offramp.decision.simulate import simulate
from router.config import PolicySettings
from router.objective import ObjectiveError, solve
from router.policy import ALWAYS
from router.route import Route
from tests.support.cascade import make_bundle, make_route


def settings(objective, **more) -> PolicySettings:
    return PolicySettings.model_validate({"objective": objective, **more})


@pytest.fixture(scope="module")
def route(tmp_path_factory):
    return make_route(make_bundle(tmp_path_factory.mktemp("route") / "bundle"))


def test_one_threshold_holds_at_every_exit_but_the_last(route):
    assert solve(route, settings({"threshold": 0.8})).thresholds == (0.8, 0.8, 0.8, ALWAYS)


def test_exits_that_are_not_listed_never_answer_early(route):
    solution = solve(route, settings({"thresholds": {"large@2": 0.7}}))
    assert solution.thresholds == (NEVER, NEVER, 0.7, ALWAYS)


@pytest.mark.parametrize("measure", ["max_prob", "margin", "entropy"])
@pytest.mark.parametrize("speedup", [1, 2, 5, 20])
def test_a_speedup_is_met_on_the_evidence(route, measure, speedup):
    solution = solve(route, settings({"speedup": speedup}, confidence=measure))
    assert solution.forecast.speedup >= speedup
    again = simulate(route.evidence, solution.thresholds, solution.settings.confidence)
    assert again == solution.forecast


def test_a_budget_has_the_use_of_all_the_evidence(route):
    """It promises nothing, so no text need be kept from it to test the promise on."""
    points = Frontier(route.evidence, Measure.MAX_PROB).points
    assert route.frontier(Measure.MAX_PROB).points == points
    assert points != Frontier(route.evidence.choosing, Measure.MAX_PROB).points


def test_speedup_and_mean_cost_are_one_dial(route):
    by_cost = solve(route, settings({"mean_cost": 0.25}))
    by_speedup = solve(route, settings({"speedup": 4}))
    assert by_cost.thresholds == by_speedup.thresholds


@pytest.mark.parametrize("limit", [0, 0.005, 0.05])
def test_an_expected_loss_is_kept_on_the_evidence_and_loosening_it_is_no_dearer(route, limit):
    solution = solve(route, settings({"expected_loss": limit}))
    forecast = solution.forecast
    assert forecast.full_depth_accuracy - forecast.accuracy <= limit + 1e-9
    looser = solve(route, settings({"expected_loss": limit + 0.02})).forecast
    assert looser.mean_cost <= forecast.mean_cost
    assert solution.guarantee is None


def test_the_frontier_of_a_measure_is_solved_once(route):
    chosen = settings({"speedup": 2}).confidence
    assert route.frontier(chosen) is route.frontier(chosen)


@pytest.mark.parametrize(
    ("objective", "key"),
    [
        ({"speedup": 1e6}, ("objective", "speedup")),
        ({"mean_cost": 1e-6}, ("objective", "mean_cost")),
        ({"thresholds": {"large@8": 0.5}}, ("objective", "thresholds", "large@8")),
    ],
)
def test_an_objective_that_the_bundle_cannot_meet_names_its_key(route, objective, key):
    with pytest.raises(ObjectiveError) as caught:
        solve(route, settings(objective))
    assert caught.value.key == key


OBJECTIVES = [
    {"max_accuracy_loss": 0.05},
    {"max_accuracy_loss": 0.05, "confidence": 0.8, "method": "wsr"},
    {"max_accuracy_loss": 0.05, "method": "crc"},
    {"max_disagreement": 0.08},
    {"max_disagreement": 0.08, "confidence": 0.8, "method": "wsr"},
    {"max_disagreement": 0.08, "method": "crc"},
]


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("measure", ["max_prob", "entropy"])
def test_a_guarantee_is_of_the_cheapest_certified_thresholds_and_kept(route, objective, measure):
    policy = settings(objective, confidence=measure)
    solution = solve(route, policy)
    guarantee = solution.guarantee
    assert guarantee.terms == policy.objective.terms
    assert guarantee.examples == len(route.evidence.certifying.labels) == 400
    assert guarantee.observed <= guarantee.bound <= guarantee.terms.limit + 1e-6
    point, again = certified(
        route.shares(Measure(measure)), route.evidence.certifying, guarantee.terms
    )
    assert (solution.thresholds, guarantee) == (point.thresholds, again)
    assert solution.forecast.speedup > 1


def test_thresholds_are_chosen_and_certified_on_different_examples(route):
    evidence = route.evidence
    labels = np.where(evidence.certifies, 1 - evidence.labels, evidence.labels)
    other = Route(route.name, route.bundle, route.manifest, replace(evidence, labels=labels), ())
    objective = settings({"max_disagreement": 0.08})
    assert solve(other, objective).thresholds == solve(route, objective).thresholds
    point = other.shares(Measure.MAX_PROB).points[50]
    assert point.thresholds == route.shares(Measure.MAX_PROB).points[50].thresholds


def test_defaults_are_learn_then_test_with_confidence_95(route):
    plain = solve(route, settings({"max_disagreement": 0.08}))
    full = {"max_disagreement": 0.08, "confidence": 0.95, "method": "ltt"}
    assert plain.guarantee == solve(route, settings(full)).guarantee


def test_other_objectives_are_not_certified(route):
    assert solve(route, settings({"threshold": 0.8})).guarantee is None
    assert solve(route, settings({"speedup": 2})).guarantee is None


@pytest.mark.parametrize("loss", list(Loss))
def test_too_thin_evidence_says_how_many_texts_would_do_and_the_remedy(route, loss):
    with pytest.raises(ObjectiveError) as caught:
        solve(route, settings({loss: 0.005, "confidence": 0.9}))
    assert caught.value.key == ("objective", loss)
    assert "cannot be certified on the 400 texts" in caught.value.problem
    assert "lose 0.00%; about 460 would do: take evidence on more" in caught.value.problem
    assert "`offramp calibrate BUNDLE DATA`, or raise the limit" in caught.value.problem


def test_where_no_number_of_texts_would_do_only_the_limit_is_named(route):
    evidence = route.evidence
    turned = np.where(evidence.certifies[None, :, None], -evidence.logits, evidence.logits)
    logits = np.concatenate([turned[:-1], evidence.logits[-1:]])
    other = Route(route.name, route.bundle, route.manifest, replace(evidence, logits=logits), ())
    with pytest.raises(ObjectiveError) as caught:
        solve(other, settings({"max_disagreement": 0.005}))
    assert caught.value.problem.endswith("no number of such texts would do; raise the limit")
