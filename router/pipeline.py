"""The pipeline: one text's way through the tiers, to the best answer that its deadline allows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from offramp.errors import (
    DeadlineError,
    InvalidRequestError,
    OfframpError,
    OverloadedError,
)
from offramp.v1 import common_pb2, router_pb2, tier_pb2
from router.flight import Content, Patience
from router.plan import ActivePolicy, RequestPlan
from router.stream import InferStream

MARGIN_SHARE = 0.1
LARGEST_SHARE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class TierReply:
    """What one tier said: its place in the cascade, and seconds as the router saw them."""

    tier: int
    answer: tier_pb2.InferAnswer
    seconds: float


@dataclass(frozen=True, slots=True)
class Finished:
    """A text that has its answer: the last of `replies`, at least one."""

    plan: RequestPlan
    replies: tuple[TierReply, ...]
    outcome: router_pb2.Outcome.ValueType
    began: float


@dataclass(frozen=True, slots=True)
class Job:
    """What the items of one request share. `began`: by time.monotonic."""

    policy: ActivePolicy
    plan: RequestPlan
    began: float
    patience: Patience


def make_job(policy: ActivePolicy, plan: RequestPlan, began: float, seconds: float) -> Job:
    """A job that has `seconds` from `began` on to be answered in.

    The margin is parted: half of it for the tier's answer to come back, half for ours. Requests
    whose deadlines fall together are answered together, which takes longer than answering one:
    where there is time enough, more than the policy's margin is kept back.
    """
    deadline = began + seconds
    margin = max(policy.margin_seconds, min(seconds * MARGIN_SHARE, LARGEST_SHARE_SECONDS))
    return Job(policy, plan, began, Patience(deadline - margin, deadline - margin / 2))


async def classify(
    text: common_pb2.TextInput, job: Job, streams: Sequence[InferStream]
) -> Finished:
    """Take a text through the tiers of its plan until one is sure enough.

    streams: one per tier of the route. A tier that is lost is passed over; time that runs out, or
    a last tier that is lost, leaves the best answer so far. Raises DeadlineError or what stood in
    the way where there is none, and where the policy would rather fail than give a lesser answer.
    """
    content: Content = text
    replies: list[TierReply] = []
    obstacle: OfframpError | None = None
    for leg in job.plan.legs:
        if replies and time.monotonic() >= job.patience.answer_by:
            return _finished(job, replies, router_pb2.OUTCOME_DEADLINE)
        began = time.monotonic()
        try:
            answer = await streams[leg.index].infer(content, leg.plan, job.patience)
        except DeadlineError:
            if not replies:
                raise
            return _finished(job, replies, router_pb2.OUTCOME_DEADLINE)
        except OfframpError as error:
            if _is_final(error, replies):
                raise
            obstacle = error
            continue
        obstacle = None
        if answer.HasField("tokenized"):
            content = answer.tokenized
        replies.append(TierReply(leg.index, answer, time.monotonic() - began))
        outcome = _outcome(answer, job.plan)
        if outcome is not None:
            return _finished(job, replies, outcome)
    return _after_all(job, replies, obstacle)


def _outcome(
    answer: tier_pb2.InferAnswer, plan: RequestPlan
) -> router_pb2.Outcome.ValueType | None:
    """Why the text is done with this answer; None where it escalates."""
    if answer.exit == plan.last_exit:
        return router_pb2.OUTCOME_LAST_EXIT
    if answer.confident:
        return router_pb2.OUTCOME_CONFIDENT
    if answer.deadline_reached:
        return router_pb2.OUTCOME_DEADLINE
    return None


def _is_final(error: OfframpError, replies: Sequence[TierReply]) -> bool:
    """Whether no other tier may be asked after this.

    A bad request is bad everywhere; overload of the first tier must not reach a dearer one.
    """
    return isinstance(error, InvalidRequestError) or (
        isinstance(error, OverloadedError) and not replies
    )


def _after_all(job: Job, replies: Sequence[TierReply], obstacle: OfframpError | None) -> Finished:
    """The end of a text that no tier was sure of: `obstacle` stood before the last one."""
    if obstacle is None:
        return _finished(job, replies, router_pb2.OUTCOME_LAST_EXIT)
    if job.policy.fails_on_loss or not replies:
        raise obstacle
    return _finished(job, replies, router_pb2.OUTCOME_DEGRADED)


def _finished(
    job: Job, replies: Sequence[TierReply], outcome: router_pb2.Outcome.ValueType
) -> Finished:
    return Finished(job.plan, tuple(replies), outcome, job.began)
