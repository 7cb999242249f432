"""The classifier: requests in, answers out, every one counted; what the servicer speaks for."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

from offramp.errors import OfframpError
from offramp.rpc import wire
from offramp.v1 import common_pb2, router_pb2
from router import pipeline
from router.answer_metrics import AnswerMetrics
from router.answers import explain
from router.audit import Auditor
from router.config import Limits
from router.pipeline import Job
from router.policies import Policies
from router.stream import InferStream
from router.tiers import Tier
from router.validation import InputRules, find_route, wishes_of

log = logging.getLogger(__name__)


class Classifier:
    """Serves the routes of one router."""

    def __init__(
        self,
        policies: Policies,
        tiers: Mapping[str, Sequence[Tier]],
        limits: Limits,
        metrics: AnswerMetrics,
        auditor: Auditor,
    ) -> None:
        self._policies = policies
        self._tiers = tiers
        self._streams = streams_of(tiers)
        self._limits = limits
        self._metrics = metrics
        self._auditor = auditor
        self._names = tuple(policies.routes)
        self._rules = {
            name: InputRules(limits.max_text_chars, route.manifest.pairs)
            for name, route in policies.routes.items()
        }

    def job(
        self, route: str, override: router_pb2.PolicyOverride | None, seconds_left: float | None
    ) -> Job:
        """What the items of a request share; the policy is taken here, once.

        Raises UnknownRouteError, InvalidRequestError, TierUnavailableError before tiers are known.
        """
        self._policies.check_begun()
        policy = self._policies[find_route(route, self._names)]
        plan = policy.plan if override is None else policy.plan_for(wishes_of(override))
        if seconds_left is None:
            seconds_left = self._limits.default_timeout_seconds
        return pipeline.make_job(policy, plan, time.monotonic(), seconds_left)

    async def answer(
        self, text: common_pb2.TextInput, field: str, job: Job, into: router_pb2.Classification
    ) -> None:
        """Classify one text, which is the request's `field`. Raises OfframpError.

        into: what the answer is written into, where it is to be sent from: a copy takes longer.
        """
        name = job.policy.route.name
        self._rules[name].check(text, field)
        drawn, finished = self._auditor.draws(job), None
        try:
            finished = await pipeline.classify(text, job, self._streams[name])
            explain(finished, job, self._tiers[name], into)
        finally:
            if drawn:
                self._auditor.follow(text, job, finished)
        self._metrics.answered(into)

    async def result(
        self, text: common_pb2.TextInput, field: str, job: Job, into: router_pb2.ItemResult
    ) -> None:
        """Classify one item of many: its error is a result too."""
        try:
            await self.answer(text, field, job, into.classification)
            return
        except OfframpError as error:
            problem = error
        except Exception:
            # One item's failure is never that of its neighbours.
            log.exception("item failed")
            problem = OfframpError("internal error; the server's log has the details")
        self.failed(job.policy.route.name, problem)
        into.error.CopyFrom(wire.item_error(problem))

    def failed(self, route: str, error: OfframpError) -> None:
        """Count a request or item that got an error; `route` as the client named it."""
        known = route or (self._names[0] if len(self._names) == 1 else "")
        self._metrics.failed(known if known in self._names else None, error)


def streams_of(tiers: Mapping[str, Sequence[Tier]]) -> dict[str, list[InferStream]]:
    """The streams to the tiers of each route, in order."""
    return {name: [tier.stream for tier in row] for name, row in tiers.items()}
