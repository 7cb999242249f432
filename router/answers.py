"""Answers: a finished text as the Classification that explains itself, cost and all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from operator import itemgetter

from offramp.v1 import router_pb2
from router.pipeline import Finished, Job, TierReply
from router.route import Route
from router.tiers import Tier


def explain(
    finished: Finished, job: Job, tiers: Sequence[Tier], into: router_pb2.Classification
) -> None:
    """Write the answer of a finished text; `tiers` are those of its route, in order."""
    route, last = job.policy.route, finished.replies[-1]
    answer = last.answer
    into.MergeFrom(finished.plan.told)
    ranked = sorted(
        zip(route.manifest.labels, answer.probabilities, strict=True),
        key=itemgetter(1),
        reverse=True,
    )
    into.label = ranked[0][0]
    for label, probability in ranked:
        into.probabilities.add(label=label, probability=probability)
    into.confidence = answer.confidence
    into.exit = answer.exit
    into.outcome = finished.outcome
    into.escalated = last.tier > 0
    into.policy_version = job.policy.version
    into.tokens = answer.tokens
    into.truncated = answer.truncated
    _write_cost(finished.replies, route, tiers[-1], into.cost)
    into.timing.total_seconds = time.monotonic() - finished.began
    for reply in finished.replies:
        into.steps.extend(reply.answer.steps)
        timing = reply.answer.timing
        into.timing.tiers.add(
            tier=route.tiers[reply.tier].name,
            total_seconds=reply.seconds,
            queue_seconds=timing.queue_seconds,
            tokenize_seconds=timing.tokenize_seconds,
            compute_seconds=timing.compute_seconds,
        )


def _write_cost(
    replies: Sequence[TierReply], route: Route, last_tier: Tier, into: router_pb2.Cost
) -> None:
    """What the tiers spent, beside full depth of the last one.

    Tokens are those of the deepest tier that answered: where it was not the last one, the last
    one's count is not known and this one's stands for it.
    """
    tokens = replies[-1].answer.tokens
    flops = seconds = 0.0
    for reply in replies:
        flops += route.tiers[reply.tier].flops[reply.answer.exit].at(reply.answer.tokens)
        seconds += reply.answer.timing.compute_share_seconds
    baseline = route.baseline_flops.at(tokens)
    into.flops = flops
    into.baseline_flops = baseline
    into.seconds = seconds
    into.baseline_seconds = last_tier.full_depth_seconds(tokens)
    into.relative = flops / baseline
    into.speedup = baseline / flops
