"""Requests as clients send them: batches, streams, and every way to get one wrong."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from offramp.v1 import common_pb2, router_pb2

pytestmark = pytest.mark.usefixtures("certainties")


def violations(error: grpc.aio.AioRpcError) -> dict[str, str]:
    """The fields that a BadRequest names."""
    bad = error_details_pb2.BadRequest()
    for detail in rpc_status.from_call(error).details:
        if detail.Is(bad.DESCRIPTOR):
            detail.Unpack(bad)
    return {v.field: v.description for v in bad.field_violations}


async def refusal(stack, **request: object) -> grpc.aio.AioRpcError:
    """The error that Classify gives."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stack.stub.Classify(router_pb2.ClassifyRequest(**request), timeout=20)
    return caught.value


@pytest.mark.parametrize(
    ("text", "description"),
    [
        ("", "empty; send a text with at least one character"),
        (" \t\n", "empty; send a text with at least one character"),
        ("a\0b", "contains a NUL character; remove it"),
        ("x" * 51, "51 characters, at most 50 are accepted; shorten or split it"),
    ],
)
async def test_a_bad_text_is_refused_with_field_and_remedy(stack, text, description):
    async with stack.serving(limits={"max_text_chars": 50}):
        error = await refusal(stack, input={"text": text})
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violations(error) == {"input.text": description}
    assert stack.small.received == []


async def test_a_pair_is_refused_where_the_route_classifies_single_texts(stack):
    async with stack.serving():
        error = await refusal(stack, input={"text": "easy", "text_pair": "x"})
    assert violations(error) == {
        "input.text_pair": "leave it out; this route classifies single texts"
    }


async def test_an_unknown_route_names_the_known_ones(stack):
    async with stack.serving():
        error = await refusal(stack, route="weather", input={"text": "easy"})
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert error.details() == "no route 'weather'; this router serves: sentiment"


@pytest.mark.parametrize(
    ("override", "field"),
    [
        ({"min_confidence": 1.5}, "override.min_confidence"),
        ({"min_confidence": float("nan")}, "override.min_confidence"),
        ({"max_cost": float("nan")}, "override.max_cost"),
        ({"max_cost": -1}, "override.max_cost"),
        ({"max_cost": 1e-9}, "override.max_cost"),
        ({"last_exit": "large@9"}, "override.last_exit"),
        ({"full_depth": True, "max_cost": 0.5}, "override.full_depth"),
    ],
)
async def test_an_override_out_of_range_is_refused(stack, override, field):
    async with stack.serving():
        error = await refusal(stack, input={"text": "easy"}, override=override)
    assert list(violations(error)) == [field]


async def test_an_override_that_the_route_does_not_allow_is_refused(stack):
    policy = {"objective": {"threshold": 0.9}, "overrides": {"full_depth": False}}
    async with stack.serving(policy=policy):
        error = await refusal(stack, input={"text": "easy"}, override={"full_depth": True})
    assert violations(error) == {
        "override.full_depth": "this route does not allow it; leave it out"
    }


@pytest.mark.parametrize("size", [0, 4])
async def test_a_batch_of_none_or_too_many_is_refused(stack, size):
    async with stack.serving(limits={"max_batch_items": 3}):
        request = router_pb2.ClassifyBatchRequest(inputs=[{"text": "easy"}] * size)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stack.stub.ClassifyBatch(request, timeout=20)
    assert list(violations(caught.value)) == ["inputs"]


async def test_a_bad_item_of_a_batch_has_an_error_and_the_others_answers(stack):
    texts = ["easy", "", "hard", "a\0b"]
    async with stack.serving():
        request = router_pb2.ClassifyBatchRequest(inputs=[{"text": text} for text in texts])
        results = (await stack.stub.ClassifyBatch(request, timeout=20)).results
    assert [r.classification.exit for r in results] == ["small", "", "large@3", ""]
    errors = [r.error for r in results if r.WhichOneof("result") == "error"]
    assert [e.violations[0].field for e in errors] == ["inputs[1].text", "inputs[3].text"]
    assert {e.code for e in errors} == {grpc.StatusCode.INVALID_ARGUMENT.value[0]}


async def test_the_items_of_a_batch_travel_to_a_tier_together(stack):
    async with stack.serving():
        inputs = [{"text": f"easy {n}"} for n in range(300)]
        request = router_pb2.ClassifyBatchRequest(inputs=inputs)
        await stack.stub.ClassifyBatch(request, timeout=20)
    assert [size for size in stack.small.message_sizes if size] == [256, 44]


async def test_long_texts_are_spread_over_messages(stack):
    stack.small.certainty = lambda text, exit_name: 0.99
    async with stack.serving(limits={"max_text_chars": 400_000}):
        inputs = [{"text": "x" * 300_000}] * 8
        request = router_pb2.ClassifyBatchRequest(inputs=inputs)
        await stack.stub.ClassifyBatch(request, timeout=20)
    assert [size for size in stack.small.message_sizes if size] == [3, 3, 2]


async def test_an_item_that_fails_at_a_tier_fails_alone(stack):
    broken = common_pb2.ItemError(code=grpc.StatusCode.INTERNAL.value[0], message="broken")
    stack.small.errors = stack.large.errors = {"hard": broken}
    async with stack.serving():
        request = router_pb2.ClassifyBatchRequest(inputs=[{"text": "easy"}, {"text": "hard"}])
        results = (await stack.stub.ClassifyBatch(request, timeout=20)).results
    assert results[0].classification.exit == "small"
    assert (results[1].error.code, results[1].error.message) == (13, "broken")


async def test_a_stream_answers_by_id_and_its_bad_items_with_errors(stack):
    async def requests():
        yield router_pb2.ClassifyStreamRequest(id="a", input={"text": "easy"})
        yield router_pb2.ClassifyStreamRequest(id="b", input={"text": " "})
        yield router_pb2.ClassifyStreamRequest(id="c", route="no", input={"text": "easy"})
        yield router_pb2.ClassifyStreamRequest(
            id="d", input={"text": "easy"}, override={"full_depth": True}
        )

    async with stack.serving():
        call = stack.stub.ClassifyStream(requests(), timeout=20)
        results = {answer.id: answer.result async for answer in call}
    assert results["a"].classification.exit == "small"
    assert results["b"].error.violations[0].field == "input.text"
    assert results["c"].error.code == grpc.StatusCode.NOT_FOUND.value[0]
    assert results["d"].classification.exit == "large@3"


async def test_a_stream_answers_while_it_is_still_being_sent(stack):
    async with stack.serving():
        call = stack.stub.ClassifyStream(timeout=20)
        for text in ("easy", "hard"):
            await call.write(router_pb2.ClassifyStreamRequest(id=text, input={"text": text}))
            answer = await call.read()
            assert answer.id == text
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF


async def test_a_slow_item_does_not_hold_up_the_stream(stack):
    stack.small.silent = {"hard"}
    async with stack.serving():
        call = stack.stub.ClassifyStream(timeout=20)
        for text in ("hard", "easy"):
            await call.write(router_pb2.ClassifyStreamRequest(id=text, input={"text": text}))
        answer = await call.read()
        call.cancel()
    assert answer.id == "easy"


async def test_a_stream_reads_no_more_than_it_may_have_under_way(stack, eventually):
    stack.small.silent = {f"easy {n}" for n in range(20)}
    async with stack.serving(limits={"max_batch_items": 3}):
        call = stack.stub.ClassifyStream(timeout=20)
        for n in range(6):
            text = {"text": f"easy {n}"}
            await call.write(router_pb2.ClassifyStreamRequest(id=str(n), input=text))
        await eventually(lambda: len(stack.small.received) == 3)
        await asyncio.sleep(0.1)
        assert len(stack.small.received) == 3
        call.cancel()


async def test_a_stream_whose_client_leaves_cancels_its_items(stack, eventually):
    stack.small.silent = {"easy"}
    async with stack.serving():
        call = stack.stub.ClassifyStream(timeout=20)
        await call.write(router_pb2.ClassifyStreamRequest(id="a", input={"text": "easy"}))
        await eventually(lambda: stack.small.received)
        call.cancel()
        await eventually(lambda: stack.small.cancelled == [stack.small.received[0].id])


async def test_a_tier_that_does_not_say_what_it_takes_is_sent_texts(stack):
    stack.small.max_message_bytes = 0
    async with stack.serving():
        assert (await stack.classify("easy")).exit == "small"
