"""The rules that ship for Prometheus read metrics that the services really have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from router.answer_metrics import AnswerMetrics
from router.audit_metrics import AuditMetrics
from router.state_metrics import StateMetrics
from services.metrics import TierMetrics

PROMETHEUS = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"
RULES = yaml.safe_load((PROMETHEUS / "rules.yml").read_text(encoding="utf-8"))
ALL_RULES = [rule for group in RULES["groups"] for rule in group["rules"]]
SUFFIX = re.compile(r"_(bucket|sum|count|total|created)$")


@pytest.fixture(scope="module")
def families() -> dict[str, str]:
    """Name and type of every metric family of the router and of a tier."""
    router, tier = CollectorRegistry(), CollectorRegistry()
    AnswerMetrics(router, routes=())
    AuditMetrics(router, routes=())
    StateMetrics(router)
    TierMetrics(tier, ("large@1",))
    return {f.name: f.type for registry in (router, tier) for f in registry.collect()}


def metrics_in(rule: dict[str, str]) -> set[str]:
    """Names of the raw metrics that a rule's expression reads."""
    return set(re.findall(r"(?<!:)\bofframp_\w+", rule["expr"]))


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.get("record") or rule["alert"])
def test_a_rule_reads_only_metrics_that_exist(rule, families):
    unknown = {m for m in metrics_in(rule) if SUFFIX.sub("", m) not in families}
    assert unknown == set()


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.get("record") or rule["alert"])
def test_a_rule_takes_rates_of_counters_only(rule, families):
    rated = set(re.findall(r"rate\((offramp_\w+)", rule["expr"]))
    assert {families[SUFFIX.sub("", m)] for m in rated} <= {"counter", "histogram"}


def test_every_recorded_name_that_is_read_is_recorded():
    recorded = {rule["record"] for rule in ALL_RULES if "record" in rule}
    read = {n for rule in ALL_RULES for n in re.findall(r"route\w*:[\w:]+", rule["expr"])}
    assert read - recorded == set()


def test_every_alert_has_a_case_that_rings_it():
    text = (PROMETHEUS / "rules.test.yml").read_text(encoding="utf-8")
    cases = [case for test in yaml.safe_load(text)["tests"] for case in _alert_cases(test)]
    rung = {case["alertname"] for case in cases if case["exp_alerts"]}
    assert rung == {rule["alert"] for rule in ALL_RULES if "alert" in rule}


def _alert_cases(test: dict) -> list[dict]:
    return test.get("alert_rule_test", [])
