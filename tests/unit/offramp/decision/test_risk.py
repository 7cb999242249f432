"""Certificates: valid on data whose true loss is known, exact on small cases, monotone, quick."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from offramp.decision import betting
from offramp.decision.risk import (
    Method,
    TooThinError,
    certify,
    examples_needed,
    p_values,
    passes,
    upper_bound,
)
from offramp.decision.tails import hoeffding_bentkus

SEEDS = 400
METHODS = tuple(Method)
WITH_CONFIDENCE = (Method.LTT, Method.WSR)

limits = st.floats(0.02, 0.4)
deltas = st.floats(0.01, 0.5)


def binary(rng: np.random.Generator, rates: np.ndarray, examples: int) -> np.ndarray:
    """Nested losses of 0 and 1: what loses at one point loses at every cheaper one."""
    return rng.random(examples) < np.asarray(rates)[:, None]


def fractional(rng: np.random.Generator, rates: np.ndarray, examples: int) -> np.ndarray:
    """Losses that are 0 or spread over 0..1, with these means."""
    hit = binary(rng, np.minimum(np.asarray(rates) * 2, 1), examples)
    return hit * rng.random(examples)


def signed(rng: np.random.Generator, rates: np.ndarray, examples: int) -> np.ndarray:
    """Losses of -1, 0 and 1 with these means: a twentieth of all examples gains."""
    drawn = rng.random(examples)
    gained = drawn > 0.95
    return (drawn < np.asarray(rates)[:, None] + 0.05).astype(float) - gained


def index_of(losses: np.ndarray, limit: float, delta: float, method: Method) -> int:
    """What `certify` finds; -1 where it finds the evidence too thin."""
    try:
        return certify(losses, limit, delta, method)
    except TooThinError:
        return -1


@pytest.mark.parametrize("delta", [0.05, 0.2])
@pytest.mark.parametrize(
    ("method", "draw"),
    [
        (Method.LTT, binary),
        (Method.LTT, fractional),
        (Method.WSR, binary),
        (Method.WSR, fractional),
        (Method.WSR, signed),
    ],
)
def test_points_above_the_limit_are_certified_in_at_most_delta_of_all_draws(method, draw, delta):
    """The worst case: one point well below the limit, then many a hair above it."""
    limit = 0.05
    rates = np.asarray([0.005, *np.linspace(0.0501, 0.08, 20)])
    wrong = 0
    for seed in range(SEEDS):
        losses = draw(np.random.default_rng(seed), rates, 400)
        wrong += index_of(losses, limit, delta, method) > 0
    slack = 3 * math.sqrt(delta * (1 - delta) / SEEDS)
    assert wrong / SEEDS <= delta + slack
    assert wrong, "never wrong at the very limit: the test has no power to speak of"


def test_conformal_risk_control_holds_in_expectation_also_for_losses_that_fall():
    """The loss comes and goes along the family; the greatest so far is what must be controlled."""
    limit, rates = 0.1, np.concatenate([np.linspace(0.01, 0.3, 30), np.linspace(0.3, 0.02, 30)])
    risks = []
    for seed in range(SEEDS):
        index = index_of(binary(np.random.default_rng(seed), rates, 100), limit, 0.05, Method.CRC)
        risks.append(rates[: index + 1].max(initial=0.0))
    assert np.mean(risks) <= limit + 3 * np.std(risks) / math.sqrt(SEEDS)
    assert np.mean(risks) >= 0.08
    assert np.mean(np.asarray(risks) > limit) > 0.2, "it would promise a confidence"


def test_for_risk_control_each_example_counts_with_its_greatest_loss_so_far():
    losses = np.zeros((2, 100), dtype=bool)
    losses[0, :5] = losses[1, 5:10] = True
    assert certify(losses, 0.1, 0.05, Method.CRC) == 0
    assert certify(losses[1:], 0.1, 0.05, Method.CRC) == 0
    assert certify(losses, 0.11, 0.05, Method.CRC) == 1


@given(examples=st.integers(1, 60), limit=limits, level=st.floats(0.001, 1))
def test_at_the_limit_a_p_value_below_a_level_is_no_likelier_than_the_level(examples, limit, level):
    losses = np.tri(examples + 1, examples, -1, dtype=bool)  # 0, 1, … all examples lose
    chances = binom.pmf(np.arange(examples + 1), examples, limit)
    for kind in (losses, losses.astype(float)):
        assert chances[p_values(kind, limit, Method.LTT) <= level].sum() <= level + 1e-9


@pytest.mark.parametrize(
    ("values", "examples"), [((0.0, 1.0), 13), ((-1.0, 0.0, 1.0), 9), ((0.0, 0.3, 1.0), 9)]
)
@pytest.mark.parametrize("limit", [0.1, 0.3, 0.6])
def test_bets_are_fair_over_every_way_that_a_few_examples_can_fall(values, examples, limit):
    """All outcomes of examples whose mean loss is the limit, with their exact probabilities."""
    spare = np.ones(len(values)) / len(values)
    first, last = np.zeros(len(values)), np.zeros(len(values))
    first[0], last[-1] = 1, 1
    mean = float(spare @ values)
    low, high = (first, spare) if mean > limit else (spare, last)
    share = (limit - low @ values) / (high @ values - low @ values)
    chance = (1 - share) * low + share * high
    places = np.asarray(list(itertools.product(range(len(values)), repeat=examples)))
    probabilities = chance[places].prod(axis=1)
    found = betting.p_values(np.asarray(values)[places], limit)
    for level in np.unique(found):
        assert probabilities[found <= level].sum() <= level + 1e-9


@given(
    losses=st.lists(st.floats(-1, 1), min_size=1, max_size=20),
    other=st.lists(st.floats(-1, 1), min_size=20, max_size=20),
    data=st.data(),
)
def test_a_stake_is_set_before_its_example_is_seen(losses, other, data):
    place = data.draw(st.integers(0, len(losses) - 1))
    changed = [*losses[:place], *other[place : len(losses)]]
    before, after = (betting.stakes(np.asarray([row])) for row in (losses, changed))
    assert before[0, : place + 1] == pytest.approx(after[0, : place + 1])


@given(examples=st.integers(1, 300), limit=limits, data=st.data())
def test_hoeffding_bentkus_is_ordered_as_the_exact_tail_and_never_below_it(examples, limit, data):
    totals = np.arange(examples + 1, dtype=float)
    bound = hoeffding_bentkus(totals, examples, limit)
    exact = binom.cdf(totals, examples, limit)
    assert (bound >= exact - 1e-12).all()
    assert (np.diff(bound) >= -1e-12).all()
    assert bound[-1] == 1
    nearby = np.nextafter(totals, 0)
    nearby[0] = 0
    assert hoeffding_bentkus(nearby, examples, limit) == pytest.approx(bound, rel=1e-6)


def test_hoeffding_bentkus_of_a_known_case():
    entropy = 0.02 * math.log(0.02 / 0.05) + 0.98 * math.log(0.98 / 0.95)
    tail = math.e * sum(math.comb(100, k) * 0.05**k * 0.95 ** (100 - k) for k in range(3))
    found = hoeffding_bentkus(np.asarray([2.0]), 100, 0.05)[0]
    assert found == pytest.approx(min(math.exp(-100 * entropy), tail))


cases = st.tuples(
    st.integers(0, 10_000), st.sampled_from([binary, fractional]), st.sampled_from(METHODS)
)


@given(case=cases, one=limits, other=limits, delta=deltas)
def test_a_higher_limit_never_certifies_less(case, one, other, delta):
    seed, draw, method = case
    losses = draw(np.random.default_rng(seed), np.linspace(0.001, 0.4, 20), 150)
    low, high = sorted((one, other))
    assert index_of(losses, low, delta, method) <= index_of(losses, high, delta, method)


@given(case=cases, limit=limits, one=deltas, other=deltas)
def test_a_greater_delta_never_certifies_less(case, limit, one, other):
    seed, draw, method = case
    losses = draw(np.random.default_rng(seed), np.linspace(0.001, 0.4, 20), 150)
    low, high = sorted((one, other))
    assert index_of(losses, limit, low, method) <= index_of(losses, limit, high, method)


@given(case=cases, limit=limits, delta=deltas)
def test_what_is_certified_is_all_that_passes_before_the_first_that_fails(case, limit, delta):
    seed, draw, method = case
    losses = draw(np.random.default_rng(seed), np.linspace(0.001, 0.4, 20), 150)
    alone = [bool(passes(losses[: i + 1], limit, delta, method)[-1]) for i in range(len(losses))]
    expected = alone.index(False) - 1 if False in alone else len(alone) - 1
    assert index_of(losses, limit, delta, method) == expected


def test_a_point_behind_one_that_failed_is_not_certified():
    losses = np.zeros((3, 500), dtype=bool)
    losses[1, :100] = True
    assert certify(losses, 0.05, 0.05, Method.LTT) == 0


def test_only_net_gains_let_signed_losses_pass_where_the_losses_alone_do_not():
    losses = signed(np.random.default_rng(0), np.asarray([0.0]), 3000)
    assert certify(losses, 0.02, 0.1, Method.WSR) == 0
    with pytest.raises(TooThinError):
        certify(losses > 0, 0.02, 0.1, Method.LTT)
    with pytest.raises(ValueError, match=r"must lie in 0\.\.1 for ltt"):
        certify(losses, 0.02, 0.1, Method.LTT)


@pytest.mark.parametrize("limit", [0.005, 0.01, 0.02, 0.1])
@pytest.mark.parametrize("delta", [0.05, 0.1])
def test_with_no_loss_seen_the_examples_needed_are_the_closed_form(limit, delta):
    none = np.zeros((1, 10), dtype=bool)
    with pytest.raises(TooThinError) as caught:
        certify(none, limit / 10, delta, Method.LTT)
    assert caught.value.needed == math.ceil(math.log(delta) / math.log1p(-limit / 10))
    assert examples_needed(none[0], limit, delta, Method.CRC) == math.ceil((1 - limit) / limit)
    betting_needs = examples_needed(none[0].astype(float), limit, delta, Method.WSR)
    assert betting_needs is not None
    exact = math.log(delta) / math.log1p(-limit)
    assert exact <= betting_needs <= 1.5 * exact


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rate", [0.0, 0.01, 0.02])
def test_so_many_examples_as_are_said_to_do_do_and_one_fewer_do_not(method, rate):
    losses = np.random.default_rng(3).permutation(np.arange(200) < 200 * rate)
    needed = examples_needed(losses, 0.03, 0.05, method)
    assert needed is not None
    assert index_of(np.resize(losses, (1, needed)), 0.03, 0.05, method) == 0
    assert index_of(np.resize(losses, (1, needed - 1)), 0.03, 0.05, method) == -1


@pytest.mark.parametrize("method", METHODS)
def test_a_loss_at_the_limit_needs_what_no_number_gives(method):
    losses = np.arange(100) < 5
    with pytest.raises(
        TooThinError, match=r"^100 certifying examples.*no number would do$"
    ) as caught:
        certify(losses[None], 0.05, 0.05, method)
    assert caught.value.needed is None
    assert caught.value.observed == 0.05


@pytest.mark.parametrize("method", METHODS)
def test_without_examples_nothing_is_certified_and_the_least_number_is_named(method):
    with pytest.raises(TooThinError) as caught:
        certify(np.zeros((2, 0), dtype=bool), 0.01, 0.05, method)
    assert caught.value.needed is not None
    assert index_of(np.zeros((1, caught.value.needed), dtype=bool), 0.01, 0.05, method) == 0


@given(seed=st.integers(0, 10_000), method=st.sampled_from(METHODS), delta=deltas)
def test_a_bound_is_the_least_limit_above_the_mean_that_passes(seed, method, delta):
    losses = binary(np.random.default_rng(seed), np.asarray([0.1]), 200)[0]
    bound = upper_bound(losses, delta, method)
    assert bound >= losses.mean()
    assert passes(losses[None], min(bound + 1e-5, 0.999), delta, method)[0]
    below = bound - 1e-5
    assert below <= losses.mean() or not passes(losses[None], below, delta, method)[0]


def test_the_bound_of_a_binary_loss_is_that_of_clopper_and_pearson():
    losses = np.arange(200) < 3
    bound = upper_bound(losses, 0.05, Method.LTT)
    assert binom.cdf(3, 200, bound) == pytest.approx(0.05, rel=1e-3)


def test_losses_that_come_last_in_the_file_are_not_overlooked():
    """Bets could stop before they come: taken as they lie, 1,900 examples show no loss at all."""
    losses = (np.arange(2000) >= 1900)[None]
    assert index_of(losses, 0.051, 0.1, Method.WSR) == -1
    assert index_of(losses, 0.06, 0.1, Method.WSR) == 0


@pytest.mark.parametrize(("draw", "rate"), [(binary, 0.01), (fractional, 0.01), (signed, 0.0)])
@pytest.mark.parametrize("examples", [3000, 10_000])
def test_bets_come_near_to_what_many_examples_can_tell_at_all(draw, rate, examples):
    """On the average no wider than Chernoff's bound for a Gaussian of the spread that was seen."""
    margins = []
    for seed in range(10):
        losses = draw(np.random.default_rng(seed), np.asarray([rate]), examples)[0].astype(float)
        error = losses.std() / math.sqrt(examples)
        margins.append((upper_bound(losses, 0.1, Method.WSR) - losses.mean()) / error)
    assert np.mean(margins) < math.sqrt(2 * math.log(1 / 0.1))


@pytest.mark.parametrize("method", METHODS)
def test_extremes_give_no_warning_and_no_nonsense(method):
    examples = 100_000
    losses = np.stack([np.zeros(examples), np.ones(examples)])
    for limit in (1e-9, 0.5, 1 - 1e-9):
        assert index_of(losses[1:], limit, 1e-12, method) == -1
    for method_ in WITH_CONFIDENCE:
        found = p_values(losses, 1e-3, method_)
        assert found[0] < 1e-37
        assert found[1] == 1


@pytest.mark.parametrize(
    ("losses", "limit", "delta"),
    [
        (np.zeros(5), 0.1, 0.1),
        (np.zeros((0, 5)), 0.1, 0.1),
        (np.zeros((1, 5)), 0.0, 0.1),
        (np.zeros((1, 5)), 0.1, 1.0),
        (np.full((1, 5), 1.5), 0.1, 0.1),
        (np.full((1, 5), np.nan), 0.1, 0.1),
    ],
)
def test_what_is_out_of_range_is_refused(losses, limit, delta):
    with pytest.raises(ValueError, match=r"losses|limit") as caught:
        certify(losses, limit, delta, Method.LTT)
    assert not isinstance(caught.value, TooThinError)


@pytest.mark.parametrize("method", METHODS)
def test_a_whole_family_is_certified_in_a_second(method):
    losses = fractional(np.random.default_rng(0), np.linspace(0, 0.1, 150), 2000)
    began = time.process_time()
    certify(losses, 0.05, 0.05, method)
    assert time.process_time() - began < 1
