"""Audits: of a share of the answers that left early, whether full depth would have given the same.

Requests are drawn when they come; where the answer left early, its text is run to full depth when
it is answered, in the background: where the last tier has nothing else to do. Only what the policy
decided alone counts: not requests with an override, nor answers that a deadline or a lost tier cut
short. Answers of the last exit do not count either: they would under any load, while others are
dropped for want of time, and the share that agrees would look better the busier a tier is.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from scipy.special import betaincinv

from offramp.errors import OfframpError
from offramp.v1 import common_pb2, router_pb2, tier_pb2
from router.audit_metrics import AuditMetrics
from router.flight import Patience
from router.pipeline import Finished, Job
from router.stream import InferStream

log = logging.getLogger(__name__)

CONFIDENCE = 0.95
# How long an audit may wait for a gap, and how many requests of a route are followed at one time.
# What finds no gap or no place is dropped, and counted: a busy tier has no time for it.
PATIENCE_SECONDS = 30.0
PLACES = 64


@dataclass(frozen=True, slots=True)
class Agreement:
    """Audits since a policy came into force: so many made, so many that agreed."""

    policy_version: int
    audited: int = 0
    agreed: int = 0

    def with_one(self, *, agrees: bool) -> Agreement:
        """One audit more."""
        return Agreement(self.policy_version, self.audited + 1, self.agreed + agrees)

    @property
    def ratio(self) -> float:
        """Share of early answers that are those of full depth; NaN where none was audited."""
        return self.agreed / self.audited if self.audited else float("nan")

    @property
    def lower_bound(self) -> float:
        """What the true share is at least, with CONFIDENCE (Clopper and Pearson, 1934).

        It holds for a look at a time that was not chosen by what was seen.
        """
        if not self.agreed:
            return 0.0
        missed = self.audited - self.agreed
        return float(betaincinv(self.agreed, missed + 1, 1 - CONFIDENCE))


class Auditor:
    """Draws requests, has them answered at full depth, and keeps the tally of each route.

    in_force: version of a route's policy.  draw: uniform in 0..1.
    """

    def __init__(
        self,
        streams: Mapping[str, Sequence[InferStream]],
        metrics: AuditMetrics,
        in_force: Callable[[str], int],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._streams = streams
        self._metrics = metrics
        self._in_force = in_force
        self._draw = draw
        self._tallies = {route: Agreement(0) for route in streams}
        self._places = dict.fromkeys(streams, PLACES)
        self._under_way: set[asyncio.Task[None]] = set()
        for route in streams:
            metrics.watch(route, partial(self.agreement, route))

    def agreement(self, route: str) -> Agreement:
        """The audits of a route since its policy came into force."""
        return self._tally(route, self._in_force(route))

    def _tally(self, route: str, version: int) -> Agreement:
        found = self._tallies[route]
        return found if found.policy_version == version else Agreement(version)

    def draws(self, job: Job) -> bool:
        """Whether a request that came has a place, and `follow` must be called when it ended.

        Before it is known where it leaves: the easy ones of a burst are answered first, and would
        take all places from the others.
        """
        policy = job.policy
        if self._draw() >= policy.solution.settings.audit_rate or job.plan is not policy.plan:
            return False
        route = policy.route.name
        if self._places[route] == 0:
            self._metrics.dropped(route)
            return False
        self._places[route] -= 1
        return True

    def follow(self, text: common_pb2.TextInput, job: Job, finished: Finished | None) -> None:
        """Audit a request that was drawn, if its answer left early. None: it has no answer."""
        if finished is None or finished.outcome != router_pb2.OUTCOME_CONFIDENT:
            self._places[job.policy.route.name] += 1
            return
        task = asyncio.create_task(self._audit(text, job, finished))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _audit(self, text: common_pb2.TextInput, job: Job, finished: Finished) -> None:
        name = job.policy.route.name
        try:
            deepest = await self._at_full_depth(text, job)
        except OfframpError as error:
            log.debug("an audit came to nothing: %s", error)
            deepest = None
        finally:
            self._places[name] += 1
        if deepest is None:
            self._metrics.dropped(name)
        else:
            answer = finished.replies[-1].answer
            self._count(job, agrees=_label(answer) == _label(deepest))

    async def _at_full_depth(
        self, text: common_pb2.TextInput, job: Job
    ) -> tier_pb2.InferAnswer | None:
        """What the last exit says; None where time ran out on the way. Raises OfframpError."""
        route = job.policy.route
        (leg,) = job.policy.full_depth.legs
        until = time.monotonic() + PATIENCE_SECONDS
        answer = await self._streams[route.name][leg.index].infer(
            text, leg.plan, Patience(until, until), background=True
        )
        self._metrics.spent(route.name, route.tiers[-1].flops[answer.exit].at(answer.tokens))
        return answer if answer.exit == route.exits[-1] else None

    def _count(self, job: Job, *, agrees: bool) -> None:
        route, version = job.policy.route.name, job.policy.version
        self._metrics.audited(route, agrees=agrees)
        if version >= self._tallies[route].policy_version:
            self._tallies[route] = self._tally(route, version).with_one(agrees=agrees)

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = list(self._under_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _label(answer: tier_pb2.InferAnswer) -> int:
    probabilities = answer.probabilities
    return max(range(len(probabilities)), key=probabilities.__getitem__)
