"""`offramp config check`: what is wrong, where, and what to do."""

from __future__ import annotations

import pytest

ROUTER = """\
server: {{address: "127.0.0.1:0", metrics_address: "127.0.0.1:0"}}
tiers:
  small: {{address: "127.0.0.1:1"}}
  large: {{address: "127.0.0.1:2"}}
routes:
  reviews:
    bundle: {bundle}
    tiers: [small, large]
    policy:
      objective: {objective}
"""
TIER = 'server: {{address: "127.0.0.1:0", metrics_address: "127.0.0.1:0"}}\nbundle: {bundle}\n'


@pytest.fixture
def check(offramp, tmp_path):
    def run(content, name="config.yaml"):
        path = tmp_path / name
        path.write_text(content)
        return path, offramp("config", "check", path)

    return run


def test_a_good_router_file_shows_what_its_policy_comes_to(check, tiny_bundle):
    _, done = check(ROUTER.format(bundle=tiny_bundle, objective="{threshold: 0.8}"))
    assert done.exit_code == 0
    assert "good router config; reviews: forecast accuracy 0." in done.stdout


def test_a_good_tier_file_names_its_bundle(check, tiny_bundle):
    _, done = check(TIER.format(bundle=tiny_bundle))
    assert done.exit_code == 0
    assert "good tier config; bundle reviews" in done.stdout


def test_a_bundle_elsewhere_is_said_not_to_be_looked_at(check):
    _, done = check(ROUTER.format(bundle="/no/such/bundle", objective="{speedup: 2}"))
    assert done.exit_code == 0
    assert "/no/such/bundle is not on this machine" in done.stdout


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (ROUTER.format(bundle="/x", objective="{speedup: 0.5}"), 10, "objective.speedup"),
        (ROUTER.format(bundle="/x", objective="{sped: 5}"), 10, "sped: unknown key"),
        (ROUTER.format(bundle="/x", objective="{speedup: 5}") + "      extra: 1\n", 11, "extra"),
        (TIER.format(bundle="/x") + "engine: {max_batch: 0}\n", 3, "engine.max_batch"),
        ("routes: [\n", 2, ""),
    ],
)
def test_a_mistake_is_named_with_file_line_and_key(check, content, line, message):
    path, done = check(content)
    assert done.exit_code == 1
    assert f"{path}:{line}:" in done.stdout
    assert message in done.stdout


def test_a_good_file_says_what_its_policy_guarantees(check, tiny_bundle):
    objective = "{max_disagreement: 0.3, method: crc}"
    _, done = check(ROUTER.format(bundle=tiny_bundle, objective=objective))
    assert done.exit_code == 0
    assert "guarantee: at most 30% of answers differ from full depth, in expectation" in done.stdout


def test_a_guarantee_that_the_evidence_is_too_thin_for_is_a_mistake(check, tiny_bundle):
    content = ROUTER.format(bundle=tiny_bundle, objective="{max_accuracy_loss: 0.001}")
    path, done = check(content)
    assert done.exit_code == 1
    assert f"{path}:10: routes.reviews.policy.objective.max_accuracy_loss: at most" in done.stdout
    assert "about 2,995 would do" in done.stdout


def test_an_objective_the_bundle_cannot_meet_is_a_mistake(check, tiny_bundle):
    path, done = check(ROUTER.format(bundle=tiny_bundle, objective="{speedup: 100000}"))
    assert done.exit_code == 1
    assert f"{path}:10: routes.reviews.policy.objective.speedup" in done.stdout


def test_one_bad_file_does_not_hide_the_others(offramp, tmp_path):
    (tmp_path / "a.yaml").write_text("bundle: 3\n")
    (tmp_path / "b.yaml").write_text(TIER.format(bundle="/x"))
    done = offramp("config", "check", tmp_path)
    assert done.exit_code == 1
    assert "a.yaml" in done.stdout
    assert "good tier config" in done.stdout
