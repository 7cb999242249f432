"""The way of a request through real servers: exits, escalation, faults, deadlines."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from offramp.errors import OverloadedError
from offramp.rpc.wire import item_error
from offramp.v1 import common_pb2, router_pb2
from tests.support.cascade import EXITS, MAX_TOKENS, bundle_id, make_route
from tests.support.scripted_tier import CONSTANT_SECONDS, SHARE_SECONDS, TOKENS

pytestmark = pytest.mark.usefixtures("certainties")


async def test_a_sure_small_tier_answers_and_the_large_one_is_not_asked(stack):
    async with stack.serving():
        answer = await stack.classify("easy")
    assert (answer.exit, answer.label, answer.outcome) == (
        "small",
        "negative",
        router_pb2.OUTCOME_CONFIDENT,
    )
    assert not answer.escalated
    assert stack.large.received == []


async def test_an_unsure_small_tier_escalates_to_the_first_exit_that_is_sure(stack):
    async with stack.serving():
        answer = await stack.classify("middling")
    assert (answer.exit, answer.outcome) == ("large@2", router_pb2.OUTCOME_CONFIDENT)
    assert answer.escalated
    assert [step.exit for step in answer.steps] == ["small", "large@1", "large@2"]


async def test_what_no_exit_is_sure_of_is_answered_at_the_last(stack):
    async with stack.serving():
        answer = await stack.classify("hard")
    assert (answer.exit, answer.outcome) == ("large@3", router_pb2.OUTCOME_LAST_EXIT)


async def test_each_tier_gets_the_thresholds_of_its_own_exits_only(stack):
    async with stack.serving():
        await stack.classify("hard")
    small, large = stack.small.received[0].plan, stack.large.received[0].plan
    assert ([t.exit for t in small.thresholds], small.last_exit) == (["small"], "small")
    assert [t.exit for t in large.thresholds] == list(EXITS[1:])
    assert large.last_exit == "large@3"


async def test_the_next_tier_gets_the_tokens_of_the_one_before_and_not_the_text(stack):
    stack.small.tokens = stack.large.tokens = {"hard": [101, 7, 102]}
    async with stack.serving():
        await stack.classify("hard")
        await stack.classify("middling")
    as_tokens, as_text = stack.large.received
    assert list(as_tokens.tokenized.ids) == [101, 7, 102]
    assert not as_tokens.HasField("input")
    assert as_text.input.text == "middling"
    assert [item.input.text for item in stack.small.received] == ["hard", "middling"]


async def test_an_answer_explains_itself(stack):
    async with stack.serving():
        answer = await stack.classify("middling")
        route = make_route(stack.bundle)
    flops = route.tiers[0].flops["small"].at(TOKENS) + route.tiers[1].flops["large@2"].at(TOKENS)
    baseline = route.baseline_flops.at(TOKENS)
    assert answer.cost.flops == pytest.approx(flops)
    assert answer.cost.baseline_flops == pytest.approx(baseline)
    assert answer.cost.relative == pytest.approx(flops / baseline)
    assert answer.cost.speedup == pytest.approx(baseline / flops)
    assert answer.cost.seconds == pytest.approx(2 * SHARE_SECONDS)
    assert answer.cost.baseline_seconds == pytest.approx(CONSTANT_SECONDS + TOKENS * 0.001)
    assert [(p.label, round(p.probability, 6)) for p in answer.probabilities] == [
        ("negative", 0.95),
        ("positive", 0.05),
    ]
    assert answer.confidence == pytest.approx(0.95)
    assert [t.threshold for t in answer.thresholds] == [0.9, 0.9, 0.9, 0.0]
    assert [step.tier for step in answer.timing.tiers] == ["small", "large"]
    assert answer.timing.total_seconds >= sum(s.total_seconds for s in answer.timing.tiers)
    assert (answer.bundle_id, answer.policy_version) == (bundle_id(stack.bundle), 1)
    assert (answer.route, answer.tokens, answer.truncated) == ("sentiment", TOKENS, False)
    assert TOKENS < MAX_TOKENS


async def test_full_depth_goes_straight_to_the_last_exit(stack):
    async with stack.serving():
        answer = await stack.classify("easy", full_depth=True)
    assert (answer.exit, answer.outcome) == ("large@3", router_pb2.OUTCOME_LAST_EXIT)
    assert answer.cost.relative == pytest.approx(1.0)
    assert stack.small.received == []


async def test_overrides_bind_one_request_only(stack):
    async with stack.serving():
        raised = await stack.classify("easy", min_confidence=0.98)
        cheap = await stack.classify("hard", max_cost=0.1)
        cut = await stack.classify("hard", last_exit="large@1")
        plain = await stack.classify("hard")
    assert raised.exit == "large@3"
    assert (cheap.exit, cheap.outcome) == ("small", router_pb2.OUTCOME_LAST_EXIT)
    assert (cut.exit, cut.outcome) == ("large@1", router_pb2.OUTCOME_LAST_EXIT)
    assert plain.exit == "large@3"


async def test_a_large_tier_that_is_gone_leaves_the_small_ones_answer_marked(stack, eventually):
    async with stack.serving():
        await stack.large.stop()
        await eventually(lambda: not stack.router.tiers["large"].stream.available)
        answer = await stack.classify("hard")
    assert (answer.exit, answer.outcome) == ("small", router_pb2.OUTCOME_DEGRADED)
    assert not answer.escalated


async def test_a_large_tier_that_dies_under_a_request_leaves_the_small_ones_answer(
    stack, eventually
):
    stack.large.silent = {"hard"}
    async with stack.serving():
        call = asyncio.create_task(stack.classify("hard"))
        await eventually(lambda: stack.large.received)
        await stack.large.stop()
        answer = await call
    assert (answer.exit, answer.outcome) == ("small", router_pb2.OUTCOME_DEGRADED)


async def test_a_route_may_rather_fail_than_degrade(stack, eventually):
    policy = {"objective": {"threshold": 0.9}, "on_tier_loss": "fail"}
    async with stack.serving(policy=policy):
        await stack.large.stop()
        await eventually(lambda: not stack.router.tiers["large"].stream.available)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stack.classify("hard")
        answer = await stack.classify("easy")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "large" in caught.value.details()
    assert answer.outcome == router_pb2.OUTCOME_CONFIDENT


async def test_a_small_tier_that_is_gone_is_passed_over(stack, eventually):
    async with stack.serving():
        await stack.small.stop()
        await eventually(lambda: not stack.router.tiers["small"].stream.available)
        answer = await stack.classify("middling")
    assert (answer.exit, answer.outcome) == ("large@2", router_pb2.OUTCOME_CONFIDENT)
    assert answer.escalated


async def test_with_both_tiers_gone_requests_fail_as_unavailable(stack, eventually):
    async with stack.serving():
        await stack.small.stop()
        await stack.large.stop()
        tiers = stack.router.tiers
        await eventually(lambda: not any(tier.stream.available for tier in tiers))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stack.classify("easy")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_tier_that_comes_back_is_used_again(stack, eventually):
    async with stack.serving():
        await stack.large.stop()
        await eventually(lambda: not stack.router.tiers["large"].stream.available)
        await stack.large.start()
        await eventually(lambda: stack.router.tiers["large"].stream.available)
        answer = await stack.classify("middling")
    assert answer.exit == "large@2"


async def test_a_tier_that_comes_back_with_another_bundle_stays_unavailable(stack, eventually):
    async with stack.serving():
        await stack.large.stop()
        stack.large.bundle_id, before = "another", stack.large.describes
        await stack.large.start()
        await eventually(lambda: stack.large.describes >= before + 2)
        answer = await stack.classify("hard")
    assert answer.outcome == router_pb2.OUTCOME_DEGRADED


async def test_a_tier_whose_description_makes_no_sense_is_asked_again(stack, eventually):
    async with stack.serving():
        await stack.large.stop()
        exits, stack.large.exits, before = stack.large.exits, (), stack.large.describes
        await stack.large.start()
        await eventually(lambda: stack.large.describes >= before + 2)
        stack.large.exits = exits
        await eventually(lambda: stack.router.tiers["large"].stream.available)
        answer = await stack.classify("middling")
    assert answer.exit == "large@2"


async def test_a_large_tier_that_hangs_never_outlives_the_deadline(stack):
    stack.large.silent = {"hard"}
    async with stack.serving(policy={"objective": {"threshold": 0.9}, "deadline_margin_ms": 200}):
        answer = await stack.classify("hard", timeout=0.8)
    assert (answer.exit, answer.outcome) == ("small", router_pb2.OUTCOME_DEADLINE)


async def test_the_best_answer_that_a_tier_sends_when_time_is_out_is_taken(stack):
    stack.large.late = {"hard"}
    async with stack.serving(policy={"objective": {"threshold": 0.9}, "deadline_margin_ms": 300}):
        answer = await stack.classify("hard", timeout=0.9)
    assert (answer.exit, answer.outcome) == ("large@1", router_pb2.OUTCOME_DEADLINE)


async def test_no_escalation_begins_within_the_margin(stack):
    async with stack.serving(policy={"objective": {"threshold": 0.9}, "deadline_margin_ms": 60000}):
        answer = await stack.classify("hard", timeout=59)
    assert answer.outcome == router_pb2.OUTCOME_DEADLINE
    assert stack.large.received == []


async def test_without_any_answer_before_the_deadline_the_request_fails(stack):
    stack.small.silent = {"easy"}
    async with stack.serving(limits={"default_timeout_seconds": 0.3}):
        request = router_pb2.ClassifyRequest(input={"text": "easy"})
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stack.stub.Classify(request)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "allow more time" in caught.value.details()


async def test_a_tier_is_told_how_much_time_is_left(stack):
    async with stack.serving(policy={"objective": {"threshold": 0.9}, "deadline_margin_ms": 1000}):
        await stack.classify("easy", timeout=20)
    # gRPC rounds a timeout up on the wire, one of this size to a tenth of a second.
    assert 10_000 < stack.small.received[0].timeout_ms <= 19_100


async def test_items_of_a_client_that_is_gone_are_cancelled_at_the_tier(stack, eventually):
    stack.small.silent = {"easy"}
    async with stack.serving():
        call = stack.stub.Classify(router_pb2.ClassifyRequest(input={"text": "easy"}))
        await eventually(lambda: stack.small.received)
        call.cancel()
        await eventually(lambda: stack.small.cancelled)
        assert stack.small.cancelled == [stack.small.received[0].id]
        assert stack.router.tiers["small"].stream.in_flight == 0


async def test_items_beyond_the_limit_in_flight_are_refused_at_once(stack, eventually):
    stack.small.silent = {"easy"}
    async with stack.serving(limits={"max_in_flight": 1}):
        first = stack.stub.Classify(router_pb2.ClassifyRequest(input={"text": "easy"}))
        await eventually(lambda: stack.small.received)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stack.classify("easy")
        first.cancel()
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    details = rpc_status.from_call(caught.value).details
    retry = [d for d in details if d.Is(error_details_pb2.RetryInfo.DESCRIPTOR)]
    assert len(retry) == 1


async def test_of_a_crowd_that_waits_in_grpc_all_are_answered_or_refused(stack):
    async with stack.serving(limits={"max_in_flight": 50}):
        calls = (stack.classify("easy") for _ in range(1000))
        ends = await asyncio.gather(*calls, return_exceptions=True)
        refused = [end for end in ends if isinstance(end, grpc.aio.AioRpcError)]
        assert {end.code() for end in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert 0 < len(refused) < len(ends)
        assert "calls are under way" in refused[0].details()
        assert (await stack.classify("easy")).exit == "small"


async def test_an_overloaded_large_tier_leaves_the_small_ones_answer(stack):
    full = common_pb2.ItemError(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message="full")
    stack.large.errors = {"hard": full}
    async with stack.serving():
        answer = await stack.classify("hard")
    assert (answer.exit, answer.outcome) == ("small", router_pb2.OUTCOME_DEGRADED)


async def test_overload_of_the_small_tier_is_not_passed_on_to_the_large_one(stack):
    full = common_pb2.ItemError(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message="full")
    stack.small.errors = {"easy": full}
    async with stack.serving():
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stack.classify("easy")
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert stack.large.received == []


async def test_the_time_that_a_tier_asks_to_wait_reaches_clients(stack):
    stack.small.errors = {"easy": item_error(OverloadedError("full", retry_after_seconds=3.2))}
    async with stack.serving():
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stack.classify("easy")
        request = router_pb2.ClassifyBatchRequest(inputs=[{"text": "easy"}])
        (result,) = (await stack.stub.ClassifyBatch(request, timeout=20)).results
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in rpc_status.from_call(caught.value).details)
    assert retry.retry_delay.ToMilliseconds() == 3200
    assert result.error.retry_delay.ToMilliseconds() == 3200
