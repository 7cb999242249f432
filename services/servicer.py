"""TierService: protobuf in, rows to the worker, protobuf out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from offramp.bundle import Manifest, TierSpec
from offramp.decision.cost import CostCurve
from offramp.errors import TierUnavailableError
from offramp.rpc import wire
from offramp.v1 import tier_pb2, tier_pb2_grpc
from services.backends.base import Backend
from services.engine.worker import Worker
from services.metrics import TierMetrics
from services.settings import EngineSettings
from services.stream import InferStream
from services.tokens import TokenRules
from services.validation import ItemReader


@dataclass(frozen=True, slots=True)
class Tier:
    """What is served: a tier of a bundle, by a backend, with certain limits."""

    manifest: Manifest
    spec: TierSpec
    backend: Backend[Any]
    settings: EngineSettings
    max_message_bytes: int

    @property
    def exits(self) -> tuple[str, ...]:
        """Names of the tier's exits, in order of depth."""
        return tuple(exit_spec.name for exit_spec in self.spec.exits)


class TierServicer(tier_pb2_grpc.TierServiceServicer):
    """Describes the tier, and runs the items of any number of streams."""

    def __init__(self, tier: Tier, worker: Worker, metrics: TierMetrics) -> None:
        self._tier = tier
        self._worker = worker
        self._metrics = metrics
        self._reader = _item_reader(tier)
        self._seconds: Sequence[CostCurve] | None = None
        self._streams: set[InferStream] = set()

    def measured(self, seconds: Sequence[CostCurve]) -> None:
        """The warm-up is over: seconds per row up to each exit. Until then there is no Describe."""
        self._seconds = seconds

    def drain(self) -> None:
        """Refuse new items from now on; each stream ends when its items in flight are out."""
        self._worker.refuse_new()
        for stream in self._streams:
            stream.wake()

    async def Describe(
        self, request: tier_pb2.DescribeRequest, context: Any
    ) -> tier_pb2.DescribeResponse:
        """What this tier is. UNAVAILABLE until it is warmed up."""
        if self._seconds is None:
            raise TierUnavailableError("this tier is warming up; ask again when it is healthy")
        tier = self._tier
        return tier_pb2.DescribeResponse(
            tier=tier.spec.name,
            bundle_id=tier.manifest.id,
            backend=tier.backend.name,
            labels=tier.manifest.labels,
            exits=[
                tier_pb2.ExitDescription(
                    name=exit_spec.name,
                    flops=wire.curve_to_proto(exit_spec.flops),
                    seconds=wire.curve_to_proto(seconds),
                )
                for exit_spec, seconds in zip(tier.spec.exits, self._seconds, strict=True)
            ],
            max_tokens=tier.spec.max_tokens,
            max_batch=self._worker.max_batch,
            max_queue=tier.settings.max_queue,
            pairs=tier.manifest.pairs,
            precision=tier.backend.precision,
            max_message_bytes=tier.max_message_bytes,
        )

    async def Infer(
        self, request_iterator: AsyncIterator[tier_pb2.InferRequest], context: Any
    ) -> AsyncIterator[tier_pb2.InferResponse]:
        """Run items as they come; when the stream closes, what is left of them is dropped."""
        manifest, spec = self._tier.manifest, self._tier.spec
        stream = InferStream(
            self._worker,
            self._reader,
            self._metrics,
            self._tier.exits,
            manifest.labels,
            hands_on=manifest.tokenizes_once and spec is not manifest.tiers[-1],
        )
        self._streams.add(stream)
        reading = asyncio.create_task(stream.read(request_iterator))
        try:
            async for response in stream.responses(reading):
                yield response
        finally:
            reading.cancel()
            stream.close()
            self._streams.discard(stream)


def _item_reader(tier: Tier) -> ItemReader:
    names = [spec.name for spec in tier.manifest.tiers]
    position = names.index(tier.spec.name)
    before, behind = tier.manifest.tiers[:position], tier.manifest.tiers[position + 1 :]
    earlier = [exit_spec.name for spec in before for exit_spec in spec.exits]
    later = [exit_spec.name for spec in behind for exit_spec in spec.exits]
    readouts = tier.spec.readouts_in(tier.backend.precision)
    learned = all(readout.score is not None for readout in readouts)
    tokens = TokenRules(tier.manifest.tokenizes_once, tier.backend.vocabulary, tier.spec.max_tokens)
    return ItemReader(tier.exits, earlier, later, tier.manifest.pairs, tokens, learned=learned)
