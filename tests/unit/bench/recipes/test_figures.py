"""Recipes are measured against one bar, on the same examples."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.recipes.figures import figures
from offramp.decision.cost import CostCurve
from tests.support.evidence import make_evidence


def test_a_better_recipe_costs_less_at_the_common_bar():
    found = figures(
        {"clean": make_evidence(4, 2000, noise=0.4), "noisy": make_evidence(4, 2000, noise=0.8)}, 0
    )
    clean, noisy = found["clean"], found["noisy"]
    assert clean.exits[0].aurc < noisy.exits[0].aurc
    assert clean.exits[0].nll < noisy.exits[0].nll
    assert clean.cost_at[0.005] < (noisy.cost_at[0.005] or 2.0)


def test_only_the_large_tier_is_looked_at():
    (found,) = figures({"one": make_evidence(3, 400)}, 0).values()
    assert [e.name for e in found.exits] == ["large@1", "large@2", "large@3"]


def test_a_recipe_that_drops_tokens_is_priced_by_the_full_depth_of_those_that_do_not():
    plain = make_evidence(4, 2000)
    halved = replace(plain, exits=tuple(replace(e, flops=half(e.flops)) for e in plain.exits))
    found = figures({"plain": plain, "dropping": halved}, 0)
    assert found["dropping"].cost_at[0.005] == pytest.approx(found["plain"].cost_at[0.005] / 2)
    assert found["dropping"].accuracy_at[0.25] == found["plain"].accuracy_at[0.5]


def half(curve: CostCurve) -> CostCurve:
    """A curve of half the cost."""
    return CostCurve(curve.constant / 2, curve.linear / 2, curve.quadratic / 2)


def test_evidence_of_other_examples_is_refused():
    with pytest.raises(ValueError, match="other"):
        figures({"one": make_evidence(3, 400), "two": make_evidence(3, 400, seed=5)}, 0)
