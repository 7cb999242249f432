"""Audits: of a share of the answers that left early, whether full depth would have given the same.

An answer is drawn when it is given, off the reply path, and its text is run to full depth in the
background, where the last tier has nothing else to do. Only what the policy decided alone is drawn:
not requests with an override, nor answers that a deadline or a lost tier cut short. Answers of the
last exit are not drawn either: they would be counted under any load, while others are dropped for
want of time, and the share that agrees would look better the busier a tier is.
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
from offramp.v1 import common_pb2, router_pb2
from router.audit_metrics import AuditMetrics
from router.pipeline import Finished, Job
from router.stream import InferStream, Patience

log = logging.getLogger(__name__)

CONFIDENCE = 0.95
# How long an audit may wait for a gap, and how many of a route wait at the most. What is drawn
# beyond that is dropped, and counted: a busy tier has no time for it.
PATIENCE_SECONDS = 30.0
MOST_UNDER_WAY = 32


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
        self._under_way: dict[str, set[asyncio.Task[None]]] = {route: set() for route in streams}
        for route in streams:
            metrics.watch(route, partial(self.agreement, route))

    def agreement(self, route: str) -> Agreement:
        """The audits of a route since its policy came into force."""
        return self._tally(route, self._in_force(route))

    def _tally(self, route: str, version: int) -> Agreement:
        found = self._tallies[route]
        return found if found.policy_version == version else Agreement(version)

    def answered(self, text: common_pb2.TextInput, finished: Finished, job: Job) -> None:
        """Take a request that was just answered, or leave it."""
        policy = job.policy
        if self._draw() >= policy.solution.settings.audit_rate:
            return
        if job.plan is not policy.plan or finished.outcome != router_pb2.OUTCOME_CONFIDENT:
            return
        route = policy.route.name
        if len(self._under_way[route]) >= MOST_UNDER_WAY:
            self._metrics.dropped(route)
        else:
            task = asyncio.create_task(self._audit(text, finished, job))
            self._under_way[route].add(task)
            task.add_done_callback(self._under_way[route].discard)

    async def _audit(self, text: common_pb2.TextInput, finished: Finished, job: Job) -> None:
        route = job.policy.route
        (leg,) = job.policy.full_depth.legs
        until = time.monotonic() + PATIENCE_SECONDS
        try:
            answer = await self._streams[route.name][leg.index].infer(
                text, leg.plan, Patience(until, until), background=True
            )
        except OfframpError as error:
            log.debug("an audit came to nothing: %s", error)
            self._metrics.dropped(route.name)
            return
        if answer.exit != route.exits[-1]:  # its time ran out on the way
            self._metrics.dropped(route.name)
            return
        self._metrics.spent(route.name, route.tiers[-1].flops[answer.exit].at(answer.tokens))
        self._count(job, agrees=_label(answer.probabilities) == _label_of(finished))

    def _count(self, job: Job, *, agrees: bool) -> None:
        route, version = job.policy.route.name, job.policy.version
        self._metrics.audited(route, agrees=agrees)
        if version >= self._tallies[route].policy_version:
            self._tallies[route] = self._tally(route, version).with_one(agrees=agrees)

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = [task for route in self._under_way.values() for task in route]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _label_of(finished: Finished) -> int:
    return _label(finished.replies[-1].answer.probabilities)


def _label(probabilities: Sequence[float]) -> int:
    return max(range(len(probabilities)), key=probabilities.__getitem__)
