"""A tier over real sockets: answers, their invariance, streams, cancellation, overload, drain."""

import asyncio
import random
import shutil
import urllib.request
from dataclasses import replace

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from offramp.bundle import content_id, read_manifest, tier_files, write_manifest
from offramp.v1 import tier_pb2
from tests.support import tiers
from tests.support.reference import exit_probabilities, expected, is_tie, make_plan

EXITS = tuple(f"large@{layer}" for layer in tiers.LARGE_EXITS)
CODES = {code.name: code.value[0] for code in grpc.StatusCode}


def random_texts(count, seed=1):
    chooser = random.Random(seed)
    return [" ".join(chooser.choices(tiers.WORDS, k=chooser.randint(1, 22))) for _ in range(count)]


async def test_describe_tells_what_the_tier_is(serve, bundle):
    manifest = read_manifest(bundle)
    _, stub = await serve(warmup=True, max_queue=77)
    found = await stub.Describe(tier_pb2.DescribeRequest())
    assert (found.tier, found.bundle_id) == ("large", manifest.id)
    assert (found.backend, found.max_batch, found.max_queue) == ("torch-cpu-fp32", 4, 77)
    assert list(found.labels) == ["negative", "neutral", "positive"]
    assert [e.name for e in found.exits] == list(EXITS)
    assert [e.flops.linear for e in found.exits] == [
        e.flops.linear for e in manifest.tier("large").exits
    ]
    seconds = [e.seconds.constant + 10 * e.seconds.linear for e in found.exits]
    assert 0 < seconds[0] < seconds[1] < seconds[2]
    assert found.max_tokens == tiers.MAX_TOKENS
    assert found.max_message_bytes == 4 * 1024 * 1024
    assert not found.pairs


@pytest.mark.parametrize("max_batch", [1, 5, 64])
async def test_answers_are_those_of_the_model_alone(serve, infer, make_item, max_batch):
    _, stub = await serve(max_batch=max_batch)
    thresholds = {"large@1": 0.88, "large@2": 0.8}
    plan = make_plan(thresholds)
    texts = [text for text in random_texts(150) if not is_tie(text, plan, EXITS)]
    items = [make_item(number, text, thresholds) for number, text in enumerate(texts)]
    random.Random(max_batch).shuffle(items)
    results = await infer(stub, items)
    assert len(results) == len(texts)
    assert {result.answer.exit for result in results.values()} == set(EXITS)
    for number, text in enumerate(texts):
        want, answer = expected(text, plan, EXITS), results[number].answer
        assert answer.exit == EXITS[want.stage]
        np.testing.assert_allclose(answer.probabilities, want.probabilities[want.stage], atol=1e-4)
        assert answer.confident == (want.stage < 2)
        assert [step.exit for step in answer.steps] == list(EXITS[: want.stage + 1])


async def test_small_tier_answers_at_its_only_exit(serve, infer, make_item):
    _, stub = await serve("small")
    results = await infer(stub, [make_item(4, "w1 w2", {"small": 0.0, "large@2": 0.9})])
    answer = results[4].answer
    assert (answer.exit, answer.confident, answer.tokens) == ("small", True, 4)
    np.testing.assert_allclose(
        answer.probabilities, exit_probabilities("w1 w2", "small")[0], atol=1e-4
    )


async def test_pairs_are_read_as_pairs(serve, infer, make_item, pairs_bundle):
    _, stub = await serve(directory=pairs_bundle)
    results = await infer(
        stub, [make_item(1, "w1", pair="w2"), make_item(2, "w2", pair="w1"), make_item(3, "w1")]
    )
    assert results[1].answer.tokens == 5
    assert list(results[1].answer.probabilities) != list(results[2].answer.probabilities)
    assert [v.field for v in results[3].error.violations] == ["items[2].input.text_pair"]


def as_tokens(item, answer):
    """The item as a router sends it on after that answer."""
    return tier_pb2.InferItem(id=item.id, plan=item.plan, tokenized=answer.tokenized)


@pytest.mark.parametrize("pairs", [False, True])
async def test_tokens_of_the_small_tier_stand_for_the_text(
    serve, infer, make_item, bundle, pairs_bundle, pairs
):
    directory = pairs_bundle if pairs else bundle
    _, small = await serve("small", directory)
    _, large = await serve("large", directory)
    texts = ["w1 w2", "w3", "w4 " * 500]
    items = [make_item(n, text, pair="w5 w6" if pairs else None) for n, text in enumerate(texts)]
    unsure = await infer(small, items)
    from_texts = await infer(large, items)
    from_tokens = await infer(large, [as_tokens(i, unsure[i.id].answer) for i in items])
    for item in items:
        want, found = from_texts[item.id].answer, from_tokens[item.id].answer
        np.testing.assert_allclose(found.probabilities, want.probabilities, atol=1e-6)
        assert (found.tokens, found.truncated) == (want.tokens, want.truncated)
        assert not want.HasField("tokenized")
    assert from_tokens[2].answer.truncated


async def test_who_is_sure_hands_nothing_on(serve, infer, make_item):
    _, small = await serve("small")
    results = await infer(small, [make_item(1, "w1", {"small": 0.0}), make_item(2, "w1")])
    assert not results[1].answer.HasField("tokenized")
    assert list(results[2].answer.tokenized.ids)


async def test_tokens_that_are_none_are_refused_and_the_tier_goes_on(serve, infer, make_item):
    _, large = await serve()
    bad = tier_pb2.InferItem(id=1, tokenized=tier_pb2.TokenizedText(ids=[10**6]))
    results = await infer(large, [bad, make_item(2, "w1")])
    assert [v.field for v in results[1].error.violations] == ["items[0].tokenized.ids"]
    assert results[2].HasField("answer")


async def test_tiers_that_tokenise_differently_hand_nothing_on(
    serve, infer, make_item, bundle, tmp_path
):
    directory = shutil.copytree(bundle, tmp_path / "bundle")
    tokenizer = directory / "large" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + "\n")
    manifest = read_manifest(directory)
    files = tier_files(directory, manifest.tiers)
    identity = content_id(files, manifest.tiers)
    write_manifest(directory, replace(manifest, files=files, id=identity))
    _, small = await serve("small", directory)
    _, large = await serve("large", directory)
    assert not (await infer(small, [make_item(1, "w1")]))[1].answer.HasField("tokenized")
    given = tier_pb2.InferItem(id=1, tokenized=tier_pb2.TokenizedText(ids=[1]))
    (violation,) = (await infer(large, [given]))[1].error.violations
    assert violation.field == "items[0].tokenized"


async def test_long_texts_are_cut_and_say_so(serve, infer, make_item):
    _, stub = await serve()
    results = await infer(stub, [make_item(1, "w1 " * 500), make_item(2, "w1")])
    assert (results[1].answer.tokens, results[1].answer.truncated) == (tiers.MAX_TOKENS, True)
    assert not results[2].answer.truncated


async def test_results_come_back_as_they_are_done(serve, make_item, converse):
    _, stub = await serve()
    talk = converse(stub)
    await talk.send(make_item(1, "w1"), make_item(2, "w2", {"large@1": 0.0}))
    assert [(await talk.next()).id for _ in range(2)] == [2, 1]
    assert await talk.has_ended()


async def test_results_that_finish_together_travel_together(serve, make_item):
    _, stub = await serve(max_batch=64)
    items = [make_item(number, "w1 w2") for number in range(40)]
    call = stub.Infer(iter([tier_pb2.InferRequest(items=items)]))
    responses = [response async for response in call]
    assert [len(response.results) for response in responses] == [40]


async def test_cancelled_items_are_dropped_without_a_word(serve, make_item, converse, gate):
    server, stub = await serve(max_batch=1)
    held = gate(server)
    talk = converse(stub)
    await talk.send(*[make_item(number, "w1") for number in range(6)])
    await asyncio.to_thread(held.reached.wait, 30)
    await talk.send(cancelled=[0, 2, 4, 99])
    await talk.send(make_item(2, "w5 w6"))
    await asyncio.sleep(0.05)
    held.open()
    found = [await talk.next() for _ in range(4)]
    assert await talk.has_ended()
    assert sorted(result.id for result in found) == [1, 2, 3, 5]
    assert next(result for result in found if result.id == 2).answer.tokens == 4


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 (the server has no event for tests to wait on)
            await asyncio.sleep(0.01)


async def test_rows_of_a_stream_that_closes_leave_the_queues(serve, make_item, converse, gate):
    server, stub = await serve(max_batch=1)
    held = gate(server)
    talk = converse(stub)
    await talk.send(*[make_item(number, "w1") for number in range(50)])
    await asyncio.to_thread(held.reached.wait, 30)
    talk.call.cancel()
    await until(lambda: not server._servicer._streams)
    held.open()
    await until(lambda: server._worker.held == 0)
    sample = server.registry.get_sample_value
    assert sample("offramp_tier_batch_rows_count", {"stage": "large@1"}) == 1
    assert sample("offramp_tier_rows_total", {"exit": "", "outcome": "cancelled"}) == 50


async def test_more_than_the_queue_holds_is_refused_at_once(serve, make_item, converse, gate):
    server, stub = await serve(max_queue=3)
    held = gate(server)
    talk = converse(stub)
    await talk.send(*[make_item(number, "w1") for number in range(5)])
    refused = [await talk.next() for _ in range(2)]
    assert [result.id for result in refused] == [3, 4]
    for result in refused:
        assert result.error.code == CODES["RESOURCE_EXHAUSTED"]
        assert "try again in" in result.error.message
    held.open()
    assert sorted([(await talk.next()).id for _ in range(3)]) == [0, 1, 2]
    await talk.send(make_item(6, "w1"))
    assert (await talk.next()).answer.exit == "large@4"
    rejected = server.registry.get_sample_value(
        "offramp_tier_rejected_total", {"reason": "overloaded"}
    )
    assert rejected == 2


async def test_health_and_metrics_do_not_wait_for_an_engine_that_is_busy_and_full(
    serve, make_item, converse, gate
):
    server, stub = await serve(max_queue=3)
    held = gate(server)
    talk = converse(stub)
    await talk.send(*[make_item(number, "w1") for number in range(5)])
    for _ in range(2):
        assert (await talk.next()).error.code == CODES["RESOURCE_EXHAUSTED"]
    await asyncio.to_thread(held.reached.wait)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        found = await health.Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert found.status == health_pb2.HealthCheckResponse.SERVING
    url = f"http://127.0.0.1:{server.metrics_port}/metrics"
    with await asyncio.to_thread(urllib.request.urlopen, url, timeout=10) as reply:
        page = reply.read().decode()
    assert 'offramp_tier_rejected_total{reason="overloaded"} 2.0' in page
    held.open()
    assert sorted([(await talk.next()).id for _ in range(3)]) == [0, 1, 2]


async def test_time_that_runs_out_gives_the_best_answer_so_far(serve, make_item, converse, gate):
    server, stub = await serve(max_batch=1)
    talk = converse(stub)
    await talk.send(make_item(0, "w1"))
    await talk.next()
    held = gate(server)
    await talk.send(make_item(1, "w1", timeout_ms=200), make_item(2, "w2", timeout_ms=200))
    await asyncio.to_thread(held.reached.wait, 30)
    await asyncio.sleep(0.3)
    held.open()
    found = {result.id: result for result in [await talk.next() for _ in range(2)]}
    assert found[1].answer.deadline_reached
    assert found[1].answer.exit == "large@1"
    assert found[2].error.code == CODES["DEADLINE_EXCEEDED"]


async def test_drain_finishes_what_is_in_flight_and_refuses_the_rest(
    serve, make_item, converse, gate
):
    server, stub = await serve(max_batch=1)
    held = gate(server)
    busy, idle = converse(stub), converse(stub)
    await busy.send(make_item(1, "w1"), make_item(2, "w2"))
    await idle.send(make_item(1, ""))
    await idle.next()
    await asyncio.to_thread(held.reached.wait, 30)
    draining = asyncio.create_task(server.drain())
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await idle.call.read()
    assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
    await busy.send(make_item(3, "w3"))
    late = await busy.next()
    assert (late.id, late.error.code) == (3, CODES["UNAVAILABLE"])
    held.open()
    assert sorted([(await busy.next()).id for _ in range(2)]) == [1, 2]
    await asyncio.wait_for(draining, 30)


async def test_describe_and_health_wait_for_the_warm_up(serve):
    server, stub = await serve()
    server._servicer._seconds = None
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Describe(tier_pb2.DescribeRequest())
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "offramp.v1.TierService"):
            found = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert found.status == health_pb2.HealthCheckResponse.SERVING
