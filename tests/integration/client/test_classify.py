"""The client against a scripted router: answers, errors, retries, deadlines."""

from __future__ import annotations

import asyncio
import math
import socket

import grpc
import pytest

from offramp import errors
from offramp.client import AsyncClient, Client, ItemFailure, Outcome, Override, Retries


@pytest.fixture
async def client(address):
    async with AsyncClient(address) as client:
        yield client


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


async def test_an_answer_carries_everything_the_router_said(client):
    answer = await client.classify("a gorgeous film", route="sentiment")

    assert answer.label == "a gorgeous film"
    assert answer.confidence == 0.9
    assert answer.probabilities == {"positive": 0.9, "negative": 0.1}
    assert answer.exit == "large@2"
    assert answer.outcome is Outcome.CONFIDENT
    assert answer.escalated
    assert (answer.cost.relative, answer.cost.speedup) == (0.25, 4.0)
    assert (answer.cost.flops, answer.cost.baseline_flops) == (1e9, 4e9)
    assert (answer.cost.seconds, answer.cost.baseline_seconds) == (0.001, 0.004)
    assert answer.thresholds == {"small": 0.93}
    assert answer.steps[0].exit == "small"
    assert answer.steps[0].threshold == 0.93
    assert answer.timing.total_seconds == 0.01
    assert answer.timing.tiers[0].compute_seconds == 0.002
    assert (answer.bundle_id, answer.policy_version) == ("b1", 7)
    assert (answer.route, answer.tokens, answer.truncated) == ("sentiment", 5, True)


@pytest.mark.parametrize("arguments", [(("a", "b"),), ("a", "b")])
async def test_a_pair_is_a_tuple_or_a_second_text(client, arguments):
    assert (await client.classify(*arguments)).label == "a|b"


async def test_an_override_travels_and_unset_fields_stay_unset(client, router):
    await client.classify("a", override=Override(min_confidence=0.0, last_exit="large@4"))
    await client.classify("a", override=Override())

    sent = router.requests[0].override
    assert sent.HasField("min_confidence")
    assert sent.min_confidence == 0.0
    assert sent.last_exit == "large@4"
    assert not sent.HasField("max_cost")
    assert not sent.full_depth
    assert not router.requests[1].HasField("override")


async def test_the_clients_route_is_used_where_a_call_names_none(address, router):
    async with AsyncClient(address, route="topics") as client:
        await client.classify("a")
        await client.classify("a", route="sentiment")
    assert [request.route for request in router.requests] == ["topics", "sentiment"]


async def test_an_invalid_request_names_fields_and_is_not_retried(client, router):
    violation = errors.Violation("input.text", "is empty; send a text")
    router.failures = [errors.InvalidRequestError([violation])]
    with pytest.raises(errors.InvalidRequestError) as raised:
        await client.classify("")
    assert raised.value.violations == (violation,)
    assert len(router.requests) == 1


@pytest.mark.parametrize(
    "error",
    [
        errors.UnknownRouteError("no such route"),
        errors.DeadlineError("no time"),
        errors.BundleError("other bundle"),
    ],
)
async def test_an_error_of_the_router_is_the_same_error_here(client, router, error):
    router.failures = [error]
    with pytest.raises(type(error), match=str(error)):
        await client.classify("a")
    assert len(router.requests) == 1


async def test_overload_is_retried_after_the_time_the_router_names(client, router):
    router.failures = [errors.OverloadedError("full", 0.3)]
    start = asyncio.get_running_loop().time()
    answer = await client.classify("a")
    assert answer.label == "a"
    assert len(router.requests) == 2
    assert asyncio.get_running_loop().time() - start >= 0.3


async def test_overload_beyond_the_attempts_tells_how_long_to_wait(address, router):
    router.failures = [errors.OverloadedError("full", 0.01) for _ in range(2)]
    async with AsyncClient(address, retries=Retries(attempts=2)) as client:
        with pytest.raises(errors.OverloadedError) as raised:
            await client.classify("a")
    assert raised.value.retry_after_seconds == pytest.approx(0.01)
    assert len(router.requests) == 2


async def test_a_retry_that_would_miss_the_deadline_is_not_waited_for(client, router):
    router.failures = [errors.OverloadedError("full", 60.0)]
    with pytest.raises(errors.OverloadedError):
        await asyncio.wait_for(client.classify("a", timeout=5), timeout=4)
    assert len(router.requests) == 1


async def test_a_tier_that_is_away_is_retried(client, router):
    router.failures = [errors.TierUnavailableError("large is away")]
    assert (await client.classify("a")).label == "a"
    assert len(router.requests) == 2


async def test_an_unexpected_failure_is_the_base_error(client, router):
    router.failures = [RuntimeError("secret")]
    with pytest.raises(errors.OfframpError, match="INTERNAL") as raised:
        await client.classify("a")
    assert "secret" not in str(raised.value)
    assert raised.value.code is grpc.StatusCode.INTERNAL


async def test_no_router_is_a_sentence_that_names_the_remedy():
    address = free_address()
    async with AsyncClient(address) as client:
        with pytest.raises(errors.RouterUnavailableError, match=f"{address}.*offramp up"):
            await client.classify("a")


async def test_a_timeout_is_a_deadline_error(client, router):
    router.delay = 30
    with pytest.raises(errors.DeadlineError):
        await client.classify("a", timeout=0.2)


async def test_an_infinite_timeout_is_no_timeout(client):
    assert (await client.classify("a", timeout=math.inf)).label == "a"


async def test_text_that_is_no_unicode_is_refused_before_it_is_sent(client, router):
    with pytest.raises(errors.InvalidRequestError, match="Unicode"):
        await client.classify("\ud800")
    assert router.requests == []


async def test_a_batch_answers_in_order_with_failures_in_their_place(client):
    answers = await client.classify_batch(["a", "bad", ("b", "c"), "\ud800"])
    assert [getattr(answer, "label", None) for answer in answers] == ["a", None, "b|c", None]
    failure = answers[1]
    assert isinstance(failure, ItemFailure)
    assert isinstance(failure.error, errors.InvalidRequestError)
    assert failure.error.violations == (errors.Violation("input.text", "is bad"),)


async def test_an_overloaded_item_of_a_batch_or_stream_tells_how_long_to_wait(client):
    failures = await client.classify_batch(["full"])
    failures += [item async for _, item in client.classify_stream(["full"])]
    assert len(failures) == 2
    for failure in failures:
        assert isinstance(failure.error, errors.OverloadedError)
        assert failure.error.retry_after_seconds == pytest.approx(3.2)


async def test_a_large_batch_travels_in_messages_of_at_most_1024_texts(client, router):
    texts = [f"text {number}" for number in range(2500)]
    answers = await client.classify_batch(texts)
    assert [answer.label for answer in answers] == texts
    assert [len(request.inputs) for request in router.requests] == [1024, 1024, 452]


async def test_a_batch_of_long_texts_travels_in_messages_of_at_most_4_megabytes(client, router):
    texts = ["x" * 1_500_000] * 5
    answers = await client.classify_batch(texts)
    assert len(answers) == 5
    assert all(request.ByteSize() <= 4 * 1024 * 1024 for request in router.requests)
    assert [len(request.inputs) for request in router.requests] == [2, 2, 1]


async def test_a_router_that_takes_fewer_texts_gets_smaller_messages(client, router):
    router.max_batch_items = 100
    texts = [f"text {number}" for number in range(500)]
    answers = await client.classify_batch(texts)
    assert [answer.label for answer in answers] == texts
    sizes = [len(request.inputs) for request in router.requests]
    assert sizes[:4] == [500, 250, 125, 62]
    assert max(sizes[3:]) == 62
    assert sum(sizes[3:]) == 500


async def test_the_number_of_texts_that_a_router_takes_is_remembered(client, router):
    router.max_batch_items = 100
    await client.classify_batch(["a"] * 300)
    router.requests.clear()
    await client.classify_batch(["a"] * 300)
    assert [len(request.inputs) for request in router.requests] == [75] * 4


# Above four times that gRPC refuses a message by itself, in words of its own.
@pytest.mark.parametrize("max_message_bytes", [40_000])
async def test_a_router_that_takes_fewer_bytes_gets_smaller_messages(client, router):
    texts = [f"{number} " + "x" * 5_000 for number in range(100)]
    assert [answer.label for answer in await client.classify_batch(texts)] == texts
    assert all(request.ByteSize() <= 40_000 for request in router.requests)


@pytest.mark.parametrize("max_message_bytes", [40_000])
@pytest.mark.parametrize(
    ("length", "code"),
    [
        (50_000, grpc.StatusCode.INVALID_ARGUMENT),
        (200_000, grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
async def test_a_text_that_the_router_takes_in_no_message_is_an_error(client, length, code):
    with pytest.raises(errors.OfframpError) as raised:
        await client.classify_batch(["a", "x" * length, "b"])
    assert raised.value.code is code


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidRequestError([errors.Violation("override.max_cost", "is below 0")]),
        errors.UnknownRouteError("no such route"),
        errors.OverloadedError("full", 1000.0),
    ],
)
async def test_what_a_smaller_message_does_not_mend_is_not_sent_again(client, router, error):
    router.failures = [error]
    with pytest.raises(type(error)):
        await client.classify_batch(["a", "b"])
    assert len(router.requests) == 1


async def test_a_text_no_message_can_carry_fails_alone(client):
    answers = await client.classify_batch(["a", "x" * 5_000_000, "b"])
    assert [answer.label for answer in (answers[0], answers[2])] == ["a", "b"]
    assert "more than a message can carry" in str(answers[1].error)


async def test_an_empty_batch_asks_nothing(client, router):
    assert await client.classify_batch([]) == []
    assert router.requests == []


async def test_a_single_text_in_the_place_of_many_is_a_type_error(client):
    with pytest.raises(TypeError, match="put it in a list"):
        await client.classify_batch("abc")


async def test_the_blocking_client_says_the_same(address):
    def use() -> tuple:
        with Client(address, route="sentiment") as client:
            single = client.classify("a")
            batch = client.classify_batch(["b", "bad"])
            streamed = list(client.classify_stream(iter(["c", "bad", "d"])))
            policy = client.admin.policy()
            watched = next(iter(client.admin.watch_policy()))
            return single, batch, streamed, policy, watched

    single, batch, streamed, policy, watched = await asyncio.to_thread(use)
    assert single.label == "a"
    assert batch[0].label == "b"
    assert isinstance(batch[1], ItemFailure)
    assert [position for position, _ in streamed] == [0, 1, 2]
    assert streamed[2][1].label == "d"
    assert policy == watched


async def test_the_blocking_client_raises_the_same_errors(address, router):
    router.failures = [errors.UnknownRouteError("no such route")]

    def use() -> None:
        client = Client(address)
        try:
            client.classify("a")
        finally:
            client.close()
            client.close()

    with pytest.raises(errors.UnknownRouteError):
        await asyncio.to_thread(use)
