"""What the config files of `offramp up` say at first: enough to run, and to learn from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_ROUTER = """\
# Once you edit this file it is yours: it is kept as it is.
#
# The router, as `offramp up` runs it.
# Everything under `policy` is in force within a second of saving; the rest after a restart.

server:
  address: {address}
  metrics_address: {metrics}

limits:
  tier_wait_seconds: 600  # at start; `offramp up` itself sees a tier that does not come up

tiers:
{tiers}
routes:
  {route}:
    bundle: {bundle}
    tiers: [{names}]
    policy:
      # How sure an exit must be to answer: lower is faster, higher is more accurate. One of
      #   {{threshold: 0.9}}     one number for every exit; 1 means never before the last
      #   {{thresholds: {{…}}}}    a number per exit; `offramp policy show` lists the exits
      #   {{expected_loss: 0.005}}   as fast as the bundle's evidence expects to cost half a point
      #                        of accuracy against full depth; 0: none
      #   {{speedup: 4}}         thresholds that save this much; {{mean_cost: 0.2}} is the same
      #   {{max_accuracy_loss: 0.01, confidence: 0.95}}   as cheap as can be certified: at most a
      #                        point less accurate than full depth; {{max_disagreement: 0.02}} alike
      objective: {{expected_loss: 0}}
      confidence: max_prob   # or margin, entropy, learned
      on_tier_loss: degrade  # a tier is down: answer with what is there, marked; or fail
      audit_rate: 0.01       # so many early answers are held against full depth, in idle gaps
"""
_TIER = """\
# Once you edit this file it is yours: it is kept as it is.
#
# The tier {name}, as `offramp up` runs it.

server:
  address: {address}  # a Unix socket, or host:port; router.yaml names it too
  metrics_address: {metrics}
  max_message_bytes: 16777216

bundle: {bundle}
tier: {name}

engine:
  max_batch: null  # rows that run one stage together; null: what costs least on this machine
  threads: 0     # for one forward pass; 0: one for a student, all cores but one for other models
  precision: auto  # or fp32, bf16, int8, where the bundle has evidence in it: `offramp calibrate`
  backend: auto    # openvino where it can run the bundle, torch otherwise
"""


@dataclass(frozen=True, slots=True)
class Route:
    """What the router's file says of its route."""

    name: str
    bundle: Path


def router(address: str, metrics: str, route: Route, tiers: Mapping[str, str]) -> str:
    """The router's file; tiers: address by name, in the order of the cascade."""
    return _ROUTER.format(
        address=address,
        metrics=metrics,
        route=json.dumps(route.name),  # A name may look like a number, or like yes.
        bundle=json.dumps(str(route.bundle), ensure_ascii=False),
        tiers="".join(f'  {name}: {{address: "{at}"}}\n' for name, at in tiers.items()),
        names=", ".join(tiers),
    )


def tier(name: str, address: str, metrics: str, bundle: Path) -> str:
    """A tier's file."""
    return _TIER.format(
        name=name,
        address=address,
        metrics=metrics,
        bundle=json.dumps(str(bundle), ensure_ascii=False),
    )
