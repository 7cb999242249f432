"""Items that a tier cannot run: each gets its own error, and the stream goes on."""

import grpc
import pytest

from offramp.v1 import common_pb2, tier_pb2

INVALID = grpc.StatusCode.INVALID_ARGUMENT.value[0]
NAN = float("nan")


@pytest.mark.parametrize(
    ("change", "field", "advice"),
    [
        ({"text": ""}, "input.text", "at least one word"),
        ({"text": " \n\t"}, "input.text", "at least one word"),
        ({"pair": "w2"}, "input.text_pair", "leave it out"),
        ({"thresholds": {"large@9": 0.5}}, "plan.thresholds[0].exit", "'large@9' is no exit"),
        ({"thresholds": {"large@1": 1.5}}, "plan.thresholds[0].threshold", "in 0..1"),
        ({"thresholds": {"small": 0.5, "large@1": NAN}}, "plan.thresholds[1].threshold", "in 0..1"),
        ({"last_exit": "large@3"}, "plan.last_exit", "small, large@1, large@2, large@4"),
        ({"last_exit": "small"}, "plan.last_exit", "lies before this tier"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
async def test_bad_item_names_field_and_remedy(serve, infer, make_item, change, field, advice):
    _, stub = await serve()
    bad = make_item(2, **{"text": "w1", **change})
    results = await infer(stub, [make_item(1, "w1"), bad, make_item(3, "w1")])
    assert results[1].answer.exit == results[3].answer.exit == "large@4"
    error = results[2].error
    assert error.code == INVALID
    assert [violation.field for violation in error.violations] == [f"items[1].{field}"]
    assert advice in error.violations[0].description


async def test_all_that_is_wrong_with_an_item_is_told_at_once(serve, infer, make_item):
    _, stub = await serve()
    results = await infer(stub, [make_item(1, "", {"large@9": 7}, last_exit="nowhere")])
    fields = [violation.field for violation in results[1].error.violations]
    assert fields == [
        "items[0].input.text",
        "items[0].plan.thresholds[0].exit",
        "items[0].plan.thresholds[0].threshold",
        "items[0].plan.last_exit",
    ]


async def test_threshold_listed_twice_and_unknown_measure_are_refused(serve, infer):
    _, stub = await serve()
    plan = common_pb2.ExitPlan(
        confidence=common_pb2.ConfidenceMeasure.ValueType(9),
        thresholds=[common_pb2.ExitThreshold(exit="large@1", threshold=0.5)] * 2,
    )
    item = tier_pb2.InferItem(id=1, input=common_pb2.TextInput(text="w1"), plan=plan)
    results = await infer(stub, [item])
    fields = [violation.field for violation in results[1].error.violations]
    assert fields == ["items[0].plan.thresholds[1].exit", "items[0].plan.confidence"]


async def test_item_without_a_plan_runs_to_the_end(serve, infer):
    _, stub = await serve()
    item = tier_pb2.InferItem(id=1, input=common_pb2.TextInput(text="w1"))
    assert (await infer(stub, [item]))[1].answer.exit == "large@4"


async def test_id_in_flight_is_refused_and_the_first_one_goes_on(serve, make_item, converse):
    _, stub = await serve()
    talk = converse(stub)
    await talk.send(make_item(5, "w1"), make_item(5, "w2"))
    found = [await talk.next(), await talk.next()]
    assert [violation.field for violation in found[0].error.violations] == ["items[1].id"]
    assert found[1].answer.exit == "large@4"
    await talk.send(make_item(5, "w3"))
    assert (await talk.next()).answer.exit == "large@4"


async def test_bytes_that_are_no_message_end_only_their_stream(serve, infer, make_item):
    server, stub = await serve()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        method = channel.stream_stream("/offramp.v1.TierService/Infer", bytes, bytes)
        call = method(iter([b"\xff\xff"]))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (await infer(stub, [make_item(1, "w1")]))[1].answer.exit == "large@4"
