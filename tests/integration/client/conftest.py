"""A scripted router on a real socket: answers at once, and fails where a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from offramp import errors
from offramp.config import ServerSettings
from offramp.rpc.serving import GrpcServer
from offramp.rpc.wire import item_error
from offramp.v1 import admin_pb2, admin_pb2_grpc, common_pb2, router_pb2, router_pb2_grpc
from router.validation import check_batch


def answer(request_input: common_pb2.TextInput, route: str) -> router_pb2.Classification:
    """A full answer whose label is the text, and the pair after a bar."""
    pair = f"|{request_input.text_pair}" if request_input.HasField("text_pair") else ""
    return router_pb2.Classification(
        label=request_input.text + pair,
        probabilities=[
            common_pb2.LabelProbability(label="positive", probability=0.9),
            common_pb2.LabelProbability(label="negative", probability=0.1),
        ],
        confidence=0.9,
        exit="large@2",
        outcome=router_pb2.OUTCOME_CONFIDENT,
        escalated=True,
        cost=router_pb2.Cost(
            flops=1e9, baseline_flops=4e9, seconds=0.001, baseline_seconds=0.004, relative=0.25,
            speedup=4.0,
        ),
        thresholds=[common_pb2.ExitThreshold(exit="small", threshold=0.93)],
        steps=[common_pb2.ExitStep(exit="small", label="negative", confidence=0.6, threshold=0.93)],
        timing=router_pb2.Timing(
            total_seconds=0.01,
            tiers=[
                router_pb2.TierStep(
                    tier="small", total_seconds=0.004, queue_seconds=0.001,
                    tokenize_seconds=0.0005, compute_seconds=0.002,
                )
            ],
        ),
        bundle_id="b1",
        policy_version=7,
        route=route,
        tokens=5,
        truncated=True,
    )  # fmt: skip


class ScriptedRouter(router_pb2_grpc.RouterServiceServicer):
    """Texts that start with "bad" or "full" fail, those with "lost" get no answer in a stream.

    `failures` are raised by the next calls.
    """

    def __init__(self) -> None:
        self.requests: list = []
        self.failures: list[errors.OfframpError] = []
        self.delay = 0.0
        self.hold = asyncio.Event()
        self.hold.set()
        self.shuffle = False
        self.end_after: int | None = None
        self.max_batch_items = 1024

    async def _enter(self, request) -> None:
        self.requests.append(request)
        if self.failures:
            raise self.failures.pop(0)
        await asyncio.sleep(self.delay)

    def _result(self, item: common_pb2.TextInput, route: str) -> router_pb2.ItemResult:
        if item.text.startswith("bad"):
            error = errors.InvalidRequestError([errors.Violation("input.text", "is bad")])
            return router_pb2.ItemResult(error=item_error(error))
        if item.text.startswith("full"):
            return router_pb2.ItemResult(error=item_error(errors.OverloadedError("full", 3.2)))
        return router_pb2.ItemResult(classification=answer(item, route))

    async def Classify(self, request, context):
        await self._enter(request)
        return router_pb2.ClassifyResponse(classification=answer(request.input, request.route))

    async def ClassifyBatch(self, request, context):
        await self._enter(request)
        check_batch(len(request.inputs), self.max_batch_items)
        results = [self._result(item, request.route) for item in request.inputs]
        return router_pb2.ClassifyBatchResponse(results=results)

    async def ClassifyStream(self, request_iterator, context):
        kept: list = []
        async for request in request_iterator:
            await self._enter(request)
            await self.hold.wait()
            if self.end_after == len(self.requests):
                return
            if request.input.text.startswith("lost"):
                continue
            response = router_pb2.ClassifyStreamResponse(
                id=request.id, result=self._result(request.input, request.route)
            )
            if self.shuffle and len(kept) < 3:
                kept.append(response)
                continue
            yield response
            while kept:
                yield kept.pop()
        while kept:
            yield kept.pop()


class ScriptedAdmin(admin_pb2_grpc.RouterAdminServiceServicer):
    """One route whose policy is what was last set."""

    def __init__(self) -> None:
        self.requests: list = []
        self.yaml = "objective: {speedup: 5}\n"
        self.version = 1
        self.changed = asyncio.Event()
        self.guarantee = admin_pb2.PolicyGuarantee(
            statement="in words", loss="max_disagreement", limit=0.02, method="wsr", confidence=0.9,
            examples=1500, observed=0.012, bound=0.0189,
        )  # fmt: skip

    def _policy(self, yaml: str) -> admin_pb2.Policy:
        policy = admin_pb2.Policy(
            route="sentiment",
            version=self.version,
            yaml=yaml,
            confidence=common_pb2.CONFIDENCE_MEASURE_MARGIN,
            thresholds=[
                common_pb2.ExitThreshold(exit="small", threshold=0.93),
                common_pb2.ExitThreshold(exit="large@2", threshold=1.0),
            ],
            forecast=admin_pb2.PolicyForecast(
                accuracy=0.88, full_depth_accuracy=0.89, expected_loss=0.006, mean_cost=0.2,
                speedup=5.0, escalation_ratio=0.3, examples=1000,
                exits=[admin_pb2.ExitShare(exit="small", share=0.7),
                       admin_pb2.ExitShare(exit="large@2", share=0.3)],
            ),
            source="file",
        )  # fmt: skip
        policy.expires_at.FromSeconds(1_700_000_000)
        if "max_" in yaml:
            policy.guarantee.CopyFrom(self.guarantee)
        return policy

    async def GetStatus(self, request, context):
        response = admin_pb2.GetStatusResponse(
            version="0.1.0",
            routes=[
                admin_pb2.RouteStatus(
                    route="sentiment", bundle_id="b1", policy_version=3, requests=10, speedup=4.2,
                    escalation_ratio=0.4,
                    exits=[admin_pb2.ExitCount(exit="small", requests=6)],
                )
            ],
            tiers=[
                admin_pb2.TierStatus(
                    tier="small", address="127.0.0.1:1", reachable=True, in_flight=2,
                    backend="torch-cpu-fp32",
                )
            ],
            reload=admin_pb2.ReloadStatus(
                last_succeeded=False, error="line 3", restart_required=["tiers"], config_hash="h"
            ),
        )  # fmt: skip
        response.started_at.FromSeconds(1_700_000_000)
        return response

    async def GetPolicy(self, request, context):
        self.requests.append(request)
        if request.route not in ("", "sentiment"):
            raise errors.UnknownRouteError(f"no route {request.route!r}; there is: sentiment")
        return admin_pb2.GetPolicyResponse(policy=self._policy(self.yaml))

    async def SetPolicy(self, request, context):
        self.requests.append(request)
        self.yaml, self.version = request.yaml, self.version + 1
        self.changed.set()
        return admin_pb2.SetPolicyResponse(policy=self._policy(self.yaml))

    async def CheckPolicy(self, request, context):
        self.requests.append(request)
        return admin_pb2.CheckPolicyResponse(policy=self._policy(request.yaml))

    async def Reload(self, request, context):
        raise errors.ConfigError("router.yaml:3: routes.sentiment: unknown key")

    async def WatchPolicy(self, request, context):
        yield admin_pb2.WatchPolicyResponse(policy=self._policy(self.yaml))
        await self.changed.wait()
        yield admin_pb2.WatchPolicyResponse(policy=self._policy(self.yaml))


@pytest.fixture
def router() -> ScriptedRouter:
    return ScriptedRouter()


@pytest.fixture
def admin() -> ScriptedAdmin:
    return ScriptedAdmin()


@pytest.fixture
def max_message_bytes() -> int:
    return 4 * 1024 * 1024


@pytest.fixture
async def address(
    router: ScriptedRouter, admin: ScriptedAdmin, max_message_bytes: int
) -> AsyncIterator[str]:
    settings = ServerSettings(
        address="127.0.0.1:0",
        metrics_address="127.0.0.1:0",
        drain_seconds=0,
        max_message_bytes=max_message_bytes,
    )
    server = GrpcServer(settings, "router", CollectorRegistry())
    router_pb2_grpc.add_RouterServiceServicer_to_server(router, server.grpc)
    admin_pb2_grpc.add_RouterAdminServiceServicer_to_server(admin, server.grpc)
    await server.start()
    yield f"127.0.0.1:{server.port}"
    await server.drain()
