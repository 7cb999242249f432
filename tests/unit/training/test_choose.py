"""Choosing the small tier: by the cost of the whole cascade, never a dominated one."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.decision.calibrators import Temperature
from offramp.decision.cost import CostCurve, ExitCost
from offramp.decision.evidence import Evidence
from offramp.decision.readout import Readout
from training.choose import WITHOUT, Candidate, can_win, choose

EXAMPLES = 150
FULL = 1000.0
seeds = st.integers(0, 2**32 - 1)
# Each example solves the frontier of several cascades.
few = settings(max_examples=25)


def logits(right: np.ndarray, sure: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Two-class logits (N, 2) with the given answers and margins."""
    answers = np.where(right, labels, 1 - labels)
    return sure[:, None] * (np.arange(2) == answers[:, None])


def candidate(name: str, cost: float, skill: float, seed: int = 0) -> Candidate:
    """A small tier that is right on a share of the texts, and surer where it is."""
    rng = np.random.default_rng(seed)
    labels, ease = rng.integers(0, 2, EXAMPLES), rng.random(EXAMPLES)
    small = logits(ease < skill, 6 * np.abs(ease - skill), labels)
    middle = logits(ease < 0.9, 6 * np.abs(ease - 0.9), labels)
    large = logits(ease < 0.95, np.full(EXAMPLES, 4.0), labels)
    exits = (
        ExitCost("small", "small", CostCurve(cost)),
        ExitCost("large@1", "large", CostCurve(FULL / 2)),
        ExitCost("large@2", "large", CostCurve(FULL)),
    )
    return Candidate(
        name,
        Evidence(
            exits,
            np.stack([small, middle, large]).astype(np.float32),
            labels,
            np.full(EXAMPLES, 10),
            (Readout(Temperature()),) * 3,
            np.zeros(EXAMPLES, dtype=bool),
        ),
    )


def blind(name: str, cost: float) -> Candidate:
    """A small tier that is wrong throughout, and as sure of one text as of another."""
    found = candidate(name, cost, 0.0)
    small = logits(np.zeros(EXAMPLES, bool), np.ones(EXAMPLES), found.evidence.labels)
    answers = np.stack([small, *found.evidence.logits[1:]]).astype(np.float32)
    return replace(found, evidence=replace(found.evidence, logits=answers))


def test_the_cheapest_cascade_wins_and_not_the_most_accurate_student() -> None:
    weak, strong = candidate("weak", 1.0, 0.6), candidate("strong", 450.0, 0.85)
    choice = choose([strong, weak])
    assert choice.name == "weak"
    assert choice.pays
    assert choice.prices["weak"].flops < choice.prices["strong"].flops


def test_a_student_that_spares_more_than_it_costs_wins() -> None:
    weak, strong = candidate("weak", 1.0, 0.3), candidate("strong", 20.0, 0.85)
    assert choose([weak, strong]).name == "strong"


def test_where_no_student_pays_the_cheapest_stays_and_the_note_says_so() -> None:
    choice = choose([blind("dear", 300.0), blind("cheap", 30.0)])
    assert (choice.name, choice.pays) == ("cheap", False)
    assert "no small tier pays on these texts" in choice.note
    assert choice.note.endswith("the cheapest stays: cheap")
    assert choice.prices[WITHOUT].flops < min(choice.prices[n].flops for n in ("dear", "cheap"))


def test_without_a_small_tier_the_price_is_that_of_the_large_exits_alone() -> None:
    found = blind("any", 100.0)
    alone = choose([found]).prices[WITHOUT]
    assert alone.alone == 0.0
    assert 0.5 <= alone.flops < 1.0
    assert choose([found]).prices["any"].flops == pytest.approx(alone.flops + 0.1)


@few
@given(
    candidates=st.lists(st.tuples(st.floats(1, 900), st.floats(0, 0.95)), min_size=1, max_size=5),
    seed=seeds,
)
def test_a_dominated_candidate_is_never_picked(
    candidates: list[tuple[float, float]], seed: int
) -> None:
    choice = choose([candidate(str(i), *found, seed) for i, found in enumerate(candidates)])
    prices = {name: (p.flops, p.alone) for name, p in choice.prices.items()}
    prices.pop(WITHOUT)
    own = prices.pop(choice.name)
    for other in prices.values():
        assert other == own or any(a > b for a, b in zip(other, own, strict=True))


@few
@given(cost=st.floats(1, 400), more=st.floats(1, 400), skill=st.floats(0, 0.95), seed=seeds)
def test_of_two_students_with_the_same_answers_the_cheaper_stays(
    cost: float, more: float, skill: float, seed: int
) -> None:
    cheap, dear = candidate("cheap", cost, skill, seed), candidate("dear", cost + more, skill, seed)
    assert choose([dear, cheap]).name == "cheap"


@few
@given(
    candidates=st.lists(
        st.tuples(st.floats(1, 900), st.floats(0, 0.95)), min_size=1, max_size=4, unique=True
    ),
    seed=seeds,
)
def test_leaving_out_what_cannot_win_does_not_change_the_choice(
    candidates: list[tuple[float, float]], seed: int
) -> None:
    tried: list[Candidate] = []
    every = [candidate(str(i), *found, seed) for i, found in enumerate(sorted(candidates))]
    for found, (cost, _) in zip(every, sorted(candidates), strict=True):
        if can_win(cost / FULL, tried):
            tried.append(found)
    assert choose(tried).name == choose(every).name


@few
@given(cost=st.floats(1, 900), skill=st.floats(0, 0.95), seed=seeds)
def test_it_pays_only_where_it_is_cheaper_than_going_without(
    cost: float, skill: float, seed: int
) -> None:
    choice = choose([candidate("only", cost, skill, seed)])
    assert choice.pays == (choice.prices["only"].flops < choice.prices[WITHOUT].flops)


def test_nothing_to_choose_from_is_refused() -> None:
    with pytest.raises(ValueError, match="no small tier to choose from"):
        choose([])


def test_a_choice_is_kept_as_json() -> None:
    kept = json.loads(json.dumps(choose([candidate("only", 1.0, 0.7)]).as_dict()))
    assert kept["name"] == "only"
    assert set(kept["prices"]) == {"only", WITHOUT}
    assert kept["note"].startswith("small tier: only (expected cost at no loss")
