"""A tier as a server: bundle, backend, engine and servicer, joined."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from offramp.rpc.serving import GrpcServer
from offramp.v1 import tier_pb2, tier_pb2_grpc
from services.backends.opening import Wish, open_tier
from services.engine.core import Engine
from services.engine.scheduler import Scheduler
from services.engine.worker import Worker
from services.metrics import TierMetrics
from services.servicer import Tier, TierServicer
from services.settings import TierSettings

# Without a warm-up, and where the config says nothing.
DEFAULT_BATCH = 32


class TierServer(GrpcServer):
    """Serves one tier of a bundle: start, warm up, serve, drain, close.

    Raises BundleError where the bundle cannot be served.
    """

    def __init__(self, service: str, settings: TierSettings) -> None:
        registry = CollectorRegistry()
        super().__init__(settings.server, service, registry)
        engine = settings.engine
        found = open_tier(
            settings.bundle,
            settings.tier or service,
            Wish(engine.precision, engine.backend, engine.device, engine.threads),
        )
        backend, readouts = found.backend, found.spec.readouts_in(found.backend.precision)
        limit = settings.server.max_message_bytes
        tier = Tier(found.manifest, found.spec, backend, engine, limit)
        metrics = TierMetrics(registry, tier.exits)
        metrics.describe(tier.spec.name, tier.manifest.id, backend.name)
        scheduler = Scheduler(backend.stages, engine.max_batch or DEFAULT_BATCH)
        self._worker = Worker(
            Engine(backend, readouts, scheduler, metrics, choose_batch=engine.max_batch is None),
            engine.max_queue,
            metrics,
        )
        self._servicer = TierServicer(tier, self._worker, metrics)
        tier_pb2_grpc.add_TierServiceServicer_to_server(self._servicer, self.grpc)
        self.enable_reflection(tier_pb2.DESCRIPTOR.services_by_name["TierService"].full_name)
        self._warm = (engine.warmup, tier.manifest.pairs)

    async def warm_up(self) -> None:
        """Start the engine and measure its stages; afterwards the tier can be described."""
        self._servicer.measured(await self._worker.start(*self._warm))

    async def drain(self) -> None:
        """Refuse new items and finish those in flight, within drain_seconds; then stop."""
        self._servicer.drain()
        await super().drain()

    async def close(self) -> None:
        """Stop at once whatever still runs."""
        await self.grpc.stop(None)
        await self._worker.close()
