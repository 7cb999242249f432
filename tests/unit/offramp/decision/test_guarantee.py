"""Guarantees: losses as the terms count them, and certificates that hold on texts not seen."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.decision.confidence import Measure
from offramp.decision.evidence import Evidence
from offramp.decision.family import Family
from offramp.decision.guarantee import Guarantee, Loss, Terms, certified, losses_of
from offramp.decision.risk import Method, TooThinError, certify
from offramp.decision.simulate import chosen_exits, simulate
from offramp.decision.thresholds import ExitShares, GlobalThreshold
from tests.unit.offramp.decision.test_frontier import make_evidence

MEASURE = Measure.MAX_PROB
FAMILIES = (ExitShares, GlobalThreshold)
everything = st.builds(
    Terms,
    st.sampled_from(Loss),
    st.floats(0.01, 0.3),
    st.sampled_from(Method),
    st.floats(0.7, 0.99),
)
vectors = st.tuples(*[st.sampled_from([0.0, 0.6, 0.8, 0.95, 1.0])] * 3, st.just(0.0))


def one_by_one(evidence: Evidence, vector: tuple[float, ...], terms: Terms) -> list[float]:
    """The loss of each example, spelled out."""
    exits = chosen_exits(evidence.confidences(MEASURE), vector)
    found = []
    for row, (exit_index, label) in enumerate(zip(exits, evidence.labels, strict=True)):
        answer, full = evidence.answers()[[exit_index, -1], row]
        if terms.loss is Loss.DISAGREEMENT:
            found.append(float(answer != full))
        elif terms.method is Method.WSR:
            found.append(float(full == label) - float(answer == label))
        else:
            found.append(float(full == label and answer != label))
    return found


@given(st.integers(0, 500), st.lists(vectors, min_size=1, max_size=3), everything)
def test_losses_are_what_they_are_said_to_be(seed, chosen, terms):
    evidence = make_evidence(seed, 30)
    losses = losses_of(evidence, chosen, MEASURE, terms)
    assert losses.tolist() == [one_by_one(evidence, vector, terms) for vector in chosen]


@given(st.integers(0, 500), vectors)
def test_the_loss_tested_bounds_the_accuracy_lost(seed, vector):
    evidence = make_evidence(seed, 80)
    forecast = simulate(evidence, vector, MEASURE)
    net = forecast.full_depth_accuracy - forecast.accuracy
    means = {}
    for method in Method:
        losses = losses_of(evidence, [vector], MEASURE, Terms(Loss.ACCURACY, 0.1, method))
        means[method] = float(losses.mean())
    assert means[Method.WSR] == pytest.approx(net)
    assert means[Method.LTT] == means[Method.CRC] >= net - 1e-12


@settings(max_examples=20)
@given(st.integers(0, 500), everything, st.sampled_from(FAMILIES))
def test_the_cheapest_certified_point_is_found(seed, terms, kind):
    family = kind(make_evidence(seed, 100), MEASURE)
    certifying = make_evidence(seed + 1000, 300)
    candidates = [point for point in family.points if min(point.thresholds[:-1]) < 1]
    losses = losses_of(certifying, [p.thresholds for p in candidates], MEASURE, terms)
    try:
        index = certify(losses, terms.limit, 1 - terms.confidence, terms.method)
    except TooThinError:
        with pytest.raises(TooThinError):
            certified(family, certifying, terms)
        return
    point, guarantee = certified(family, certifying, terms)
    assert point == candidates[index]
    assert (guarantee.terms, guarantee.examples) == (terms, 300)
    assert guarantee.observed == losses[index].mean()
    assert guarantee.bound <= terms.limit + 1e-5
    if terms.method is Method.CRC:
        worst = losses[: index + 1].max(axis=0)
        assert guarantee.bound == pytest.approx((worst.sum() + 1) / 301)


@functools.cache
def world() -> Evidence:
    """All texts there are."""
    return make_evidence(1, 10_000)


@functools.cache
def drawn(kind: type[Family], draw: int) -> tuple[Family, Evidence]:
    """A family from some texts of the world, and others to certify on."""
    rows = np.random.default_rng(draw).choice(10_000, 400, replace=False)
    return kind(world().subset(rows[:100]), MEASURE), world().subset(rows[100:])


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("loss", list(Loss))
@pytest.mark.parametrize("method", list(Method))
def test_what_is_certified_holds_on_texts_never_seen(method, loss, kind):
    """60 draws of choosing and certifying examples; the truth is the loss on 10,000."""
    terms, draws = Terms(loss, 0.05, method, 0.8), 60
    found = []
    for draw in range(draws):
        family, certifying = drawn(kind, draw)
        try:
            point, _ = certified(family, certifying, terms)
        except TooThinError:
            continue
        found.append(losses_of(world(), [point.thresholds], MEASURE, terms).mean())
    assert len(found) > draws / 2, "refused too often to say anything"
    assert max(found) > 0.03, "so timid that it proves nothing"
    if method is Method.CRC:
        assert np.mean(found) <= 0.05
    else:
        wrong = np.mean(np.asarray(found) > 0.05)
        assert wrong <= 0.2 + 3 * math.sqrt(0.2 * 0.8 / draws)


def test_full_depth_alone_is_no_certificate():
    """It loses nothing for sure, and saves nothing: too little evidence is said to be that."""
    family = ExitShares(make_evidence(0), MEASURE)
    with pytest.raises(TooThinError) as caught:
        certified(family, make_evidence(1, 20), Terms(Loss.DISAGREEMENT, 0.01))
    assert caught.value.needed == math.ceil(math.log(0.05) / math.log(0.99))


WORDS = [
    (
        Terms(Loss.ACCURACY, 0.01),
        "at most 1 point of accuracy lost to full depth, with confidence 0.95 "
        "(ltt on 1,200 texts: seen 0.42, bound 0.91)",
    ),
    (
        Terms(Loss.ACCURACY, 0.005, Method.WSR, 0.9),
        "at most 0.5 points of accuracy lost to full depth, with confidence 0.9 "
        "(wsr on 1,200 texts: seen 0.42, bound 0.91)",
    ),
    (
        Terms(Loss.DISAGREEMENT, 0.02, Method.CRC),
        "at most 2% of answers differ from full depth, in expectation, not with a confidence "
        "(crc on 1,200 texts: seen 0.42, bound 0.91)",
    ),
]


@pytest.mark.parametrize(("terms", "words"), WORDS)
def test_a_guarantee_speaks_plainly(terms, words):
    guarantee = Guarantee(terms, 1200, 0.0042, 0.0091)
    assert str(guarantee) == words
    assert str(replace(guarantee, terms=terms)).startswith(str(terms))
