"""The pipeline's sense of time: what is kept back of a request's deadline."""

from __future__ import annotations

import pytest

from router.config import PolicySettings
from router.objective import solve
from router.pipeline import LARGEST_SHARE_SECONDS, MARGIN_SHARE, make_job
from router.plan import activate
from tests.support.cascade import make_bundle, make_route


@pytest.fixture(scope="module")
def route(tmp_path_factory):
    return make_route(make_bundle(tmp_path_factory.mktemp("pipeline") / "bundle"))


@pytest.mark.parametrize(
    ("margin_ms", "seconds", "kept"),
    [
        (200, 1.0, 0.2),
        (5, 0.04, 0.005),
        (5, 0.2, 0.2 * MARGIN_SHARE),
        (5, 100.0, LARGEST_SHARE_SECONDS),
    ],
)
def test_at_least_the_policys_margin_is_kept_back(route, margin_ms, seconds, kept):
    settings = PolicySettings.model_validate(
        {"objective": {"threshold": 0.9}, "deadline_margin_ms": margin_ms}
    )
    policy = activate(route, solve(route, settings), version=1)
    patience = make_job(policy, policy.plan, began=50.0, seconds=seconds).patience
    assert patience.answer_by == pytest.approx(50 + seconds - kept)
    assert patience.give_up_at == pytest.approx(50 + seconds - kept / 2)
