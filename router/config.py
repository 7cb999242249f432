"""The router's settings: a part that is fixed for the process's life, and the policies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, Field, model_validator

from offramp.config import ServerSettings, Strict
from offramp.decision.confidence import Measure
from offramp.decision.guarantee import DEFAULT_CONFIDENCE, Loss, Terms
from offramp.decision.risk import Method
from offramp.names import ALLOWED, is_name


def _is_name(value: str) -> str:
    if not is_name(value):
        raise ValueError(f"{value!r} is not a name; use {ALLOWED}")
    return value


Name = Annotated[str, AfterValidator(_is_name)]
# Strict numbers: `true` or a quoted "0.9" is a slip of the pen, not a threshold.
Threshold = Annotated[float, Field(ge=0, le=1, strict=True)]
Rate = Threshold
Share = Annotated[float, Field(gt=0, lt=1, strict=True)]
MOST_WORKERS = 64
# Keys of an objective that say how, not what.
TERMS = {"confidence", "method"}


class Limits(Strict):
    """Bounds on what is accepted; fixed.

    max_in_flight: calls that may be under way, and items per tier; more are refused at once.
    default_timeout_seconds: the deadline of requests that name none.
    tier_wait_seconds: how long start-up waits for tiers that cannot be reached yet.
    """

    max_text_chars: int = Field(default=20_000, ge=1)
    max_batch_items: int = Field(default=1024, ge=1)
    max_in_flight: int = Field(default=2048, ge=1)
    default_timeout_seconds: float = Field(default=30.0, gt=0)
    tier_wait_seconds: float = Field(default=60.0, ge=0)


class TierTls(Strict):
    """How to trust a tier: its certificate authority, and a certificate of our own if it asks."""

    ca: Path
    certificate: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def _is_paired(self) -> TierTls:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together; give both or none")
        return self


class TierSettings(Strict):
    """Where a tier is; `tier` is its name in the bundle when that is not its name here."""

    address: str = Field(min_length=1)
    tier: Name | None = None
    tls: TierTls | None = None


class Objective(Strict):
    """What thresholds are chosen for: exactly one of seven forms.

    speedup, mean_cost: the most accurate thresholds that cost this little on the evidence.
    expected_loss: from the dearest thresholds on, the last before the first that are expected to
        lose more right answers than this share, against full depth (0.01 is one point), even if
        cheaper ones lose less again; an estimate from the evidence, no promise.
    max_accuracy_loss, max_disagreement: the cheapest thresholds that are certified to lose no more
        against full depth (0.01 is one point), with `confidence`, by `method`.
    threshold: one number for every exit.  thresholds: a number per exit, the others never answer.
    """

    speedup: float | None = Field(default=None, ge=1, strict=True)
    mean_cost: float | None = Field(default=None, gt=0, strict=True)
    expected_loss: float | None = Field(default=None, ge=0, lt=1, strict=True)
    max_accuracy_loss: Share | None = None
    max_disagreement: Share | None = None
    confidence: Share | None = None
    method: Method | None = None
    threshold: Threshold | None = None
    thresholds: dict[str, Threshold] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Objective:
        given = sorted(self.model_fields_set - TERMS)
        if len(given) != 1 or getattr(self, given[0]) is None:
            forms = ", ".join(name for name in Objective.model_fields if name not in TERMS)
            raise ValueError(f"give exactly one of {forms} (given: {', '.join(given) or 'none'})")
        return self

    @model_validator(mode="after")
    def _has_its_terms(self) -> Objective:
        terms = sorted(self.model_fields_set & TERMS)
        if terms and self.terms is None:
            raise ValueError(
                f"{' and '.join(terms)}: only for max_accuracy_loss and max_disagreement; leave out"
            )
        if self.method is Method.CRC and self.confidence is not None:
            raise ValueError(
                "method crc holds in expectation, not with a confidence; leave confidence out, or "
                "choose ltt or wsr"
            )
        return self

    @property
    def target_cost(self) -> float | None:
        """The mean relative cost asked for; None where thresholds are given themselves."""
        return 1.0 / self.speedup if self.speedup is not None else self.mean_cost

    @property
    def terms(self) -> Terms | None:
        """What is to be certified; None where no guarantee is asked for."""
        for loss in Loss:
            limit = getattr(self, loss)
            if limit is not None:
                confidence = DEFAULT_CONFIDENCE if self.confidence is None else self.confidence
                return Terms(loss, limit, self.method or Method.LTT, confidence)
        return None


class OverrideLimits(Strict):
    """Which wishes of a single request are granted."""

    min_confidence: bool = True
    max_cost: bool = True
    last_exit: bool = True
    full_depth: bool = True


class PolicySettings(Strict):
    """The reloadable part of a route.

    audit_rate: share of early answers that are held against full depth, off the reply path.
    """

    objective: Objective
    confidence: Measure = Measure.MAX_PROB
    on_tier_loss: Literal["degrade", "fail"] = "degrade"
    deadline_margin_ms: float = Field(default=5.0, ge=0, le=60_000, strict=True)
    audit_rate: Rate = 0.0
    overrides: OverrideLimits = OverrideLimits()

    def as_yaml(self) -> str:
        """These settings as YAML that parses back to them."""
        return yaml.safe_dump(self.model_dump(mode="json", exclude_none=True), sort_keys=False)


class RouteSettings(Strict):
    """A route: bundle and tiers are fixed, the policy is reloadable."""

    bundle: Path
    tiers: tuple[str, ...] = Field(min_length=1)
    policy: PolicySettings


class RouterSettings(Strict):
    """The whole file.

    workers: processes that share the address, each a whole router on a core of its own.
    """

    server: ServerSettings
    workers: int = Field(default=1, ge=1, le=MOST_WORKERS)
    limits: Limits = Limits()
    tiers: dict[Name, TierSettings] = Field(min_length=1)
    routes: dict[Name, RouteSettings] = Field(min_length=1)

    def tier_in_bundle(self, name: str) -> str:
        """The name that the bundle gives to a tier of this file."""
        return self.tiers[name].tier or name


def fixed_differences(started: RouterSettings, changed: RouterSettings) -> tuple[str, ...]:
    """Key paths of settings that differ but need a restart to come into force."""
    return tuple(_differences(_fixed(started), _fixed(changed), ()))


def _fixed(settings: RouterSettings) -> dict[str, object]:
    return settings.model_dump(mode="json", exclude={"routes": {"__all__": {"policy"}}})


def _differences(old: object, new: object, path: tuple[str, ...]) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        return [
            difference
            for key in keys
            for difference in _differences(old.get(key), new.get(key), (*path, key))
        ]
    return [] if old == new else [".".join(path)]
