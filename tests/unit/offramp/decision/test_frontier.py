"""The frontier against brute force: what backward induction finds, and what it may miss."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.decision.confidence import Measure
from offramp.decision.cost import CostCurve, ExitCost
from offramp.decision.evidence import Evidence
from offramp.decision.family import ROUNDING, Family
from offramp.decision.frontier import PRICES, Frontier, agreement, solve
from offramp.decision.ordering import Ordering
from offramp.decision.readout import Readout
from offramp.decision.simulate import chosen_exits

EXITS = (
    ExitCost("small", "small", CostCurve(5.0, 1.0)),
    ExitCost("large@2", "large", CostCurve(10.0, 30.0)),
    ExitCost("large@4", "large", CostCurve(20.0, 60.0)),
    ExitCost("large@6", "large", CostCurve(30.0, 90.0)),
)


def make_evidence(seed: int, examples: int = 200) -> Evidence:
    """Binary evidence whose exits get better with depth."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, examples)
    logits = []
    for strength in (1.0, 1.4, 1.9, 2.2):
        score = rng.normal(size=examples) + (labels * 2 - 1) * strength
        logits.append(np.stack([-score * strength, score * strength], axis=-1))
    tokens = rng.integers(4, 40, examples)
    return Evidence(
        exits=EXITS,
        logits=np.stack(logits).astype(np.float32),
        labels=labels,
        tokens=tokens,
        readouts=(Readout(),) * 4,
        certifies=np.zeros(examples, dtype=bool),
    )


SCORES = st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9, 1.0])


@st.composite
def cascades(draw: st.DrawFn, exits: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores and values (E, N) of few examples: rewards of 0 and 1, less a growing cost."""
    examples = draw(st.integers(1, 8))

    def rows(element: st.SearchStrategy[float]) -> np.ndarray:
        row = st.lists(element, min_size=examples, max_size=examples)
        return np.asarray(draw(st.lists(row, min_size=exits, max_size=exits)))

    costs = np.cumsum(
        draw(st.lists(st.sampled_from([0.0, 0.1, 0.4]), min_size=exits, max_size=exits))
    )
    return rows(SCORES), rows(st.integers(0, 1).map(float)) - costs[:, None]


def solved(scores: np.ndarray, values: np.ndarray) -> np.ndarray:
    return solve([Ordering.of(row) for row in scores], values)


def total(scores: np.ndarray, values: np.ndarray, thresholds: np.ndarray, start: int = 0) -> float:
    """Total value of all examples, were they to enter the cascade at exit `start`."""
    exits = start + chosen_exits(scores[start:], thresholds[start:])
    return float(values[exits, np.arange(scores.shape[1])].sum())


def choices(scores: np.ndarray) -> list[list[float]]:
    """Every threshold that makes a difference, for each exit but the last."""
    return [[*sorted(set(row.tolist()) - {1.0}), 0.99, 1.0] for row in scores[:-1]]


def brute_force(scores: np.ndarray, values: np.ndarray) -> float:
    """The highest value of all combinations of thresholds."""
    return max(
        total(scores, values, np.asarray([*combination, 0.0]))
        for combination in itertools.product(*choices(scores))
    )


@given(cascades(exits=2))
def test_with_two_exits_no_threshold_is_better(case: tuple[np.ndarray, np.ndarray]) -> None:
    assert total(*case, solved(*case)) == pytest.approx(brute_force(*case))


@given(cascades(exits=3))
def test_the_first_threshold_is_the_best_there_is_given_the_others(
    case: tuple[np.ndarray, np.ndarray],
) -> None:
    scores, values = case
    found = solved(scores, values)
    best = max(total(*case, np.asarray([first, *found[1:]])) for first in choices(scores)[0])
    assert total(*case, found) == pytest.approx(best)


@given(cascades(exits=4))
def test_each_threshold_is_the_best_for_all_examples_given_those_behind_it(
    case: tuple[np.ndarray, np.ndarray],
) -> None:
    scores, values = case
    found = solved(scores, values)
    for exit_index, candidates in enumerate(choices(scores)):
        for candidate in candidates:
            moved = found.copy()
            moved[exit_index] = candidate
            here = total(*case, found, exit_index)
            assert total(*case, moved, exit_index) <= here + 1e-9


@given(cascades(exits=3))
def test_no_combination_is_beaten_that_does_not_exist(case: tuple[np.ndarray, np.ndarray]) -> None:
    """The value found is one that thresholds give, and never above what brute force finds."""
    assert total(*case, solved(*case)) <= brute_force(*case) + 1e-9


@given(st.integers(0, 10_000))
def test_where_stopping_pays_above_a_confidence_each_example_gets_its_best(seed: int) -> None:
    """Then the vector is optimal among all, however many exits there are."""
    rng = np.random.default_rng(seed)
    examples, scores, values = 8, [rng.random(8)], [rng.random(8)]
    for _ in range(rng.integers(1, 3)):
        row = rng.random(examples)
        pays = row >= rng.random()
        best_onward = np.max(values, axis=0)
        scores.insert(0, row)
        values.insert(0, best_onward + np.where(pays, 1, -1) * rng.random(examples))
    case = np.stack(scores), np.stack(values)
    assert total(*case, solved(*case)) == pytest.approx(case[1].max(axis=0).sum())
    assert total(*case, solved(*case)) == pytest.approx(brute_force(*case))


def test_backward_induction_may_be_beaten_by_what_reaches_a_later_exit() -> None:
    """The second exit is wrong on the second example, which never comes there."""
    scores = np.asarray([[0.5, 0.8], [0.5, 0.9], [0.9, 0.8]])
    rewards = np.asarray([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    values = rewards - 0.1 * np.asarray([[1], [2], [4]])
    found = solved(scores, values)
    assert found.tolist() == pytest.approx([0.65, 1.0, 0.0])
    assert total(scores, values, found) == pytest.approx(1.5)
    assert total(scores, values, np.asarray([0.65, 0.0, 0.0])) == pytest.approx(1.7)
    assert brute_force(scores, values) == pytest.approx(1.7)


def test_the_ladder_is_solved_at_every_price_and_never_rises() -> None:
    evidence = make_evidence(3)
    orderings = [Ordering.of(row) for row in evidence.confidences(Measure.MAX_PROB)]
    rewards, costs = agreement(evidence), evidence.costs()
    rows = np.stack([solve(orderings, rewards - price * costs) for price in PRICES])
    ladder = list(Frontier(evidence, Measure.MAX_PROB).ladder())
    assert [price for price, _ in ladder] == PRICES.tolist()
    assert np.array_equal([row for _, row in ladder], np.minimum.accumulate(rows))


@given(seed=st.integers(0, 1_000), limit=st.floats(0, 0.2))
def test_at_a_loss_every_dearer_point_keeps_it_and_the_next_does_not(
    seed: int, limit: float
) -> None:
    frontier = Frontier(make_evidence(seed), Measure.MAX_PROB)
    found = frontier.at_loss(limit).forecast
    assert found.expected_loss <= limit + ROUNDING
    forecasts = [point.forecast for point in frontier.points]
    dearer = [one for one in forecasts if one.mean_cost >= found.mean_cost]
    assert all(one.expected_loss <= limit + ROUNDING for one in dearer)
    cheaper = forecasts[len(dearer) :]
    assert not cheaper or cheaper[0].expected_loss > limit


class Steps(Family):
    """One more example leaves early at every step."""

    def ladder(self) -> Iterator[tuple[float, tuple[float, ...]]]:
        surest_first = sorted(self.evidence.confidences(self.measure)[0], reverse=True)
        for step, confidence in enumerate(surest_first):
            yield float(step), (confidence, 0.0)


def test_a_cheaper_point_that_is_lucky_on_the_evidence_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = np.array([4.0, -3.0, 2.0, -1.0])  # below 0 the second label; the surest first
    full = np.array([5.0, 5.0, -5.0, 5.0])
    second = np.array([0.0, 0.25, 0.25, 0.25])  # how likely it is
    one = make_evidence(0, examples=4)
    evidence = replace(
        one,
        exits=(EXITS[0], EXITS[-1]),
        readouts=one.readouts[:2],
        logits=np.stack([np.stack([m, -m], axis=-1) for m in (small, full)]).astype(np.float32),
    )
    monkeypatch.setattr(Evidence, "consensus", np.stack([1 - second, second], axis=-1))
    family = Steps(evidence, Measure.MAX_PROB)
    losses = [point.forecast.expected_loss for point in family.points]
    assert losses == pytest.approx([0.0, 0.125, 0.0, 0.125])
    assert family.at_loss(0.0).forecast.exit_shares["small"] == 0.25
    assert family.at_loss(0.125).forecast.exit_shares["small"] == 1.0


def test_where_every_early_answer_loses_full_depth_is_the_point() -> None:
    evidence = make_evidence(0)
    right = np.stack([1 - evidence.labels, evidence.labels], axis=1) * 20.0 - 10.0
    logits = np.stack([-right, -right, -right, right]).astype(np.float32)
    evidence = replace(evidence, logits=logits)
    point = Frontier(evidence, Measure.MAX_PROB).at_loss(0.0)
    assert point.forecast.accuracy == point.forecast.full_depth_accuracy == 1.0
    assert point.forecast.mean_cost == pytest.approx(float(evidence.costs()[-1].mean()))


def test_the_frontier_ends_where_the_first_exit_answers_everything() -> None:
    cheapest = Frontier(make_evidence(0), Measure.MAX_PROB).points[-1]
    assert cheapest.forecast.exit_shares["small"] == 1.0
