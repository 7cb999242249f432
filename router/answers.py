"""Answers: a finished text as the Classification that explains itself, cost and all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from operator import itemgetter

from offramp.v1 import common_pb2, router_pb2
from router.pipeline import Finished, Job, TierReply
from router.route import Route
from router.tiers import Tier


def explain(finished: Finished, job: Job, tiers: Sequence[Tier]) -> router_pb2.Classification:
    """The answer of a finished text; `tiers` are those of its route, in order."""
    route, last = job.policy.route, finished.replies[-1]
    answer = last.answer
    ranked = sorted(
        zip(route.manifest.labels, answer.probabilities, strict=True),
        key=itemgetter(1),
        reverse=True,
    )
    return router_pb2.Classification(
        label=ranked[0][0],
        probabilities=[
            common_pb2.LabelProbability(label=label, probability=probability)
            for label, probability in ranked
        ],
        confidence=answer.confidence,
        exit=answer.exit,
        outcome=finished.outcome,
        escalated=last.tier > 0,
        cost=_cost(finished.replies, route, tiers[-1]),
        thresholds=finished.plan.thresholds,
        steps=[step for reply in finished.replies for step in reply.answer.steps],
        timing=_timing(finished, route),
        bundle_id=route.manifest.id,
        policy_version=job.policy.version,
        route=route.name,
        tokens=answer.tokens,
        truncated=answer.truncated,
    )


def _cost(replies: Sequence[TierReply], route: Route, last_tier: Tier) -> router_pb2.Cost:
    """What the tiers spent, beside full depth of the last one.

    Tokens are those of the deepest tier that answered: where it was not the last one, the last
    one's count is not known and this one's stands for it.
    """
    tokens = replies[-1].answer.tokens
    flops = sum(
        route.tiers[reply.tier].flops[reply.answer.exit].at(reply.answer.tokens)
        for reply in replies
    )
    baseline = route.baseline_flops.at(tokens)
    return router_pb2.Cost(
        flops=flops,
        baseline_flops=baseline,
        seconds=sum(reply.answer.timing.compute_share_seconds for reply in replies),
        baseline_seconds=last_tier.full_depth_seconds(tokens),
        relative=flops / baseline,
        speedup=baseline / flops,
    )


def _timing(finished: Finished, route: Route) -> router_pb2.Timing:
    return router_pb2.Timing(
        total_seconds=time.monotonic() - finished.began,
        tiers=[
            router_pb2.TierStep(
                tier=route.tiers[reply.tier].name,
                total_seconds=reply.seconds,
                queue_seconds=reply.answer.timing.queue_seconds,
                tokenize_seconds=reply.answer.timing.tokenize_seconds,
                compute_seconds=reply.answer.timing.compute_seconds,
            )
            for reply in finished.replies
        ],
    )
