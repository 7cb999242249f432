"""How many tokens go on: drawn in training, chosen where nothing is lost."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.decision.confidence import Measure
from offramp.decision.cost import CostCurve
from offramp.decision.evidence import Evidence
from offramp.decision.family import ROUNDING
from offramp.decision.frontier import Frontier
from tests.support import tiers
from tests.support.evidence import make_evidence
from training.expected_cost import at_no_loss
from training.lengths import LEAST_SHARE, LengthDrop, candidates, choose


def cheaper(evidence: Evidence, share: float) -> Evidence:
    """The same answers at a share of the large tier's FLOPs."""
    exits = tuple(
        e if e.tier == "small" else replace(e, flops=CostCurve(0.0, share * e.flops.linear, 0.0))
        for e in evidence.exits
    )
    return replace(evidence, exits=exits)


def worse(evidence: Evidence) -> Evidence:
    """Every answer of the large tier turned round: cheap, and of no use."""
    logits = evidence.logits.copy()
    logits[1:] = logits[1:, :, ::-1]
    return replace(evidence, logits=logits)


def test_the_cost_at_no_loss_is_that_of_the_policy_that_expects_none() -> None:
    evidence = make_evidence(exits=3, examples=300)
    frontier = Frontier(evidence, Measure.MAX_PROB)
    expected = frontier.at_loss(0.0).forecast
    assert at_no_loss(evidence) == pytest.approx(expected.mean_cost)
    assert at_no_loss(evidence) < 1.0
    assert at_no_loss(evidence, floor=1.1) == math.inf
    floor = expected.full_depth_accuracy - 0.05
    assert at_no_loss(evidence, floor) == pytest.approx(frontier.at_loss(0.05).forecast.mean_cost)
    assert at_no_loss(evidence, floor=0.0) == pytest.approx(frontier.points[-1].forecast.mean_cost)


def test_a_cheaper_point_that_is_lucky_on_the_evidence_is_no_reason_for_a_choice() -> None:
    evidence = make_evidence(exits=3, examples=120, seed=149)
    forecasts = [point.forecast for point in Frontier(evidence, Measure.MAX_PROB).points]
    lucky = min(one.mean_cost for one in forecasts if one.expected_loss <= ROUNDING)
    first_loss = next(one.mean_cost for one in forecasts if one.expected_loss > ROUNDING)
    assert lucky < first_loss < at_no_loss(evidence)


@given(seed=st.integers(0, 10**6), examples=st.integers(3, 40), noise=st.floats(0.0, 3.0))
def test_nothing_is_lost_at_the_last_exit(seed: int, examples: int, noise: float) -> None:
    evidence = make_evidence(exits=2, examples=examples, seed=seed, noise=noise)
    assert at_no_loss(evidence) <= evidence.costs()[-1].mean()


def test_costs_of_two_large_tiers_are_in_one_currency() -> None:
    evidence = make_evidence(exits=3, examples=300)
    evidence = cheaper(evidence, 1.0)
    half = cheaper(evidence, 0.5)
    last = evidence.exits[-1].flops
    # Against itself the cheaper tier is no cheaper; only its small tier weighs more.
    assert at_no_loss(half) >= at_no_loss(evidence)
    assert at_no_loss(half, baseline=last) == pytest.approx(0.5 * at_no_loss(half))


def test_the_cheapest_shares_that_lose_nothing_are_chosen() -> None:
    whole = make_evidence(exits=3, examples=300)
    found = {
        None: whole,
        (0.9, 0.9): cheaper(whole, 0.9),
        (0.7, 0.7): cheaper(whole, 0.7),
        (0.5, 0.5): worse(cheaper(whole, 0.3)),
    }
    tried = [keep for keep in found if keep]
    assert choose(found.__getitem__, tried) == (0.7, 0.7)


def test_all_tokens_stay_where_dropping_saves_next_to_nothing() -> None:
    whole = cheaper(make_evidence(exits=3, examples=300), 1.0)
    found = {None: whole, (0.9, 0.9): cheaper(whole, 0.99), (0.5, 0.5): worse(cheaper(whole, 0.5))}
    assert choose(found.__getitem__, [(0.9, 0.9), (0.5, 0.5)]) is None


def test_every_candidate_fits_the_exits_and_none_is_tried_twice() -> None:
    assert candidates(0) == []
    for borders in (1, 2, 5):
        tried = candidates(borders)
        assert len(set(tried)) == len(tried)
        assert all(len(keep) == borders and min(keep) >= LEAST_SHARE for keep in tried)


def test_steps_draw_shares_or_keep_all_tokens() -> None:
    network = tiers.make_network()
    drop, seen = LengthDrop("auto", np.random.default_rng(0)), []
    for _ in range(200):
        drop.redraw(network)
        seen.append(network.config.keep)
    drawn = np.array([keep for keep in seen if keep])
    assert 0.35 < len(drawn) / len(seen) < 0.65
    assert drawn.min() >= LEAST_SHARE
    assert drawn.max() <= 1.0
    assert drawn.std() > 0.1


def test_shares_that_were_given_stay() -> None:
    network = tiers.make_network()
    network.keep_tokens((0.6, 0.4))
    for keep in ((0.6, 0.4), None):
        LengthDrop(keep, np.random.default_rng(0)).redraw(network)
        assert network.config.keep == (0.6, 0.4)
