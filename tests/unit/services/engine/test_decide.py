"""Decisions over a batch are the ones that each row's plan makes alone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from offramp.decision.confidence import Measure
from offramp.decision.readout import Readout
from services.engine.decide import decide
from services.engine.plan import StagePlan
from tests.support import tiers
from tests.support.reference import make_plan

EXITS = ("a", "b")
plans = st.builds(
    make_plan,
    st.dictionaries(st.sampled_from(EXITS), st.one_of(st.floats(0, 1), st.just(1.0))),
    st.sampled_from(("", "a", "b")),
    st.sampled_from(list(Measure)),
)


@given(st.lists(plans, min_size=1, max_size=8), st.sampled_from((0, 1, 2)), st.data())
def test_batch_decides_as_each_plan_alone(found, exit_index, data):
    readout = tiers.READOUTS["large"][exit_index]
    shape = (exit_index + 1, len(found), 3)
    history = data.draw(arrays(np.float32, shape, elements=st.floats(-50, 50, width=32)))
    decisions = decide(history, readout, [StagePlan.of(plan, EXITS) for plan in found], 0)
    for row, plan in enumerate(found):
        own = history[:, [row]]
        alone = readout.confidence(own, plan.measure)[0]
        np.testing.assert_allclose(decisions.probabilities[[row]], readout.probabilities(own))
        np.testing.assert_allclose(decisions.confidences[row], alone, atol=1e-12)
        passes = plan.passes("a", decisions.confidences[row])
        assert decisions.confident[row] == passes
        assert decisions.leaves[row] == (passes or plan.last_exit == "a")


def test_probability_that_saturates_does_not_pass_a_threshold_of_one():
    plan = StagePlan.of(make_plan({"a": 1.0}), EXITS)
    decisions = decide(np.array([[[1e4, 0.0]]]), Readout(), [plan], 0)
    assert decisions.confidences[0] == 1.0
    assert not decisions.leaves[0]
