"""A real TierService on a real socket whose answers and faults a test decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc

from offramp.decision.plan import NEVER
from offramp.v1 import common_pb2, tier_pb2, tier_pb2_grpc
from tests.support.cascade import LABELS, MAX_TOKENS

TOKENS = 10
SHARE_SECONDS = 0.001
CONSTANT_SECONDS = 0.01

Certainty = Callable[[str, str], float]


class ScriptedTier(tier_pb2_grpc.TierServiceServicer):
    """Applies plans as a tier must; `certainty(text, exit)` is the probability of the first label.

    Faults: texts in `silent` get no answer, those in `late` their first exit's answer when their
    time is out, those in `errors` an item error. `received` and `cancelled` keep what came.
    Texts in `tokens` are handed on as these ids, and known by them.
    """

    def __init__(self, tier: str, exits: tuple[str, ...], bundle_id: str, *, pairs: bool = False):
        self.tier, self.exits, self.bundle_id, self.pairs = tier, exits, bundle_id, pairs
        self.precision = ""
        self.max_message_bytes = 16 * 1024 * 1024
        self.certainty: Certainty = lambda text, exit_name: 0.99
        self.silent: set[str] = set()
        self.late: set[str] = set()
        self.errors: dict[str, common_pb2.ItemError] = {}
        self.tokens: dict[str, list[int]] = {}
        self.received: list[tier_pb2.InferItem] = []
        self.message_sizes: list[int] = []
        self.cancelled: list[int] = []
        self.describes = 0
        self.port = 0
        self._server: grpc.aio.Server | None = None
        self._timers: set[asyncio.Task] = set()

    async def start(self) -> None:
        """Listen; after a `stop`, on the same port as before."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        tier_pb2_grpc.add_TierServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        """Die at once."""
        for timer in self._timers:
            timer.cancel()
        if self._server is not None:
            await self._server.stop(0)
            self._server = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def texts(self) -> list[str]:
        """Texts received so far."""
        return [item.input.text for item in self.received]

    async def Describe(self, request, context):
        self.describes += 1
        return tier_pb2.DescribeResponse(
            tier=self.tier,
            bundle_id=self.bundle_id,
            backend="scripted",
            labels=LABELS,
            exits=[
                tier_pb2.ExitDescription(
                    name=name, seconds=tier_pb2.CostCurve(constant=CONSTANT_SECONDS, linear=0.001)
                )
                for name in self.exits
            ],
            max_tokens=MAX_TOKENS,
            max_batch=8,
            max_queue=100,
            pairs=self.pairs,
            precision=self.precision,
            max_message_bytes=self.max_message_bytes,
        )

    async def Infer(self, requests, context):
        answers: asyncio.Queue = asyncio.Queue()
        reader = asyncio.create_task(self._read(requests, answers))
        try:
            while (result := await answers.get()) is not None:
                yield tier_pb2.InferResponse(results=[result])
        finally:
            reader.cancel()

    async def _read(self, requests, answers: asyncio.Queue) -> None:
        async for request in requests:
            self.message_sizes.append(len(request.items))
            self.cancelled.extend(request.cancelled_ids)
            for item in request.items:
                self.received.append(item)
                self._take(item, answers)
        answers.put_nowait(None)

    def _take(self, item: tier_pb2.InferItem, answers: asyncio.Queue) -> None:
        text = self._text(item)
        if text in self.silent:
            return
        if text in self.late:
            timer = asyncio.create_task(self._answer_late(item, answers))
            self._timers.add(timer)
            timer.add_done_callback(self._timers.discard)
        elif text in self.errors:
            answers.put_nowait(tier_pb2.InferResult(id=item.id, error=self.errors[text]))
        else:
            answers.put_nowait(self._result(item))

    def _text(self, item: tier_pb2.InferItem) -> str:
        if item.HasField("input"):
            return item.input.text
        return next(text for text, ids in self.tokens.items() if ids == list(item.tokenized.ids))

    async def _answer_late(self, item: tier_pb2.InferItem, answers: asyncio.Queue) -> None:
        await asyncio.sleep(item.timeout_ms / 1000)
        answers.put_nowait(self._result(item, deadline_reached=True))

    def _result(
        self, item: tier_pb2.InferItem, *, deadline_reached: bool = False
    ) -> tier_pb2.InferResult:
        thresholds = {entry.exit: entry.threshold for entry in item.plan.thresholds}
        text = self._text(item)
        answer = tier_pb2.InferAnswer(deadline_reached=deadline_reached, tokens=TOKENS)
        if text in self.tokens:
            answer.tokenized.ids[:] = self.tokens[text]
        for name in self.exits:
            first = self.certainty(text, name)
            threshold = thresholds.get(name, NEVER)
            confidence = max(first, 1 - first)
            answer.steps.add(exit=name, label=LABELS[0], confidence=confidence, threshold=threshold)
            answer.exit, answer.confidence = name, confidence
            answer.confident = threshold < NEVER and confidence >= threshold
            answer.probabilities[:] = [first, 1 - first]
            if answer.confident or deadline_reached or name == item.plan.last_exit:
                break
        answer.timing.compute_seconds = 2 * SHARE_SECONDS
        answer.timing.compute_share_seconds = SHARE_SECONDS
        return tier_pb2.InferResult(id=item.id, answer=answer)
