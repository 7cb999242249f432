"""The router put together: config, bundles, tiers, policies, servers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry

from offramp import config
from offramp.bundle import DEFAULT_PRECISION
from offramp.config import ServerSettings
from offramp.rpc.serving import GrpcServer
from offramp.v1 import admin_pb2_grpc, router_pb2_grpc
from router.admin import AdminServicer
from router.admission import Admission
from router.answer_metrics import AnswerMetrics
from router.audit import Auditor
from router.audit_metrics import AuditMetrics
from router.classifier import Classifier, streams_of
from router.loading import load_routes, parse_settings, prepare
from router.objective import Solution
from router.policies import Policies
from router.reload import Reloader
from router.route import Route
from router.servicer import RouterServicer
from router.state_metrics import StateMetrics
from router.tiers import make_tiers
from router.workers import Worker

log = logging.getLogger(__name__)
ONLY_WORKER = Worker()
SERVICES = ("offramp.v1.RouterService", "offramp.v1.RouterAdminService")


class RouterServer(GrpcServer):
    """The router's server; its drain ends the calls that would never end by themselves."""

    def __init__(
        self,
        settings: ServerSettings,
        registry: CollectorRegistry,
        policies: Policies,
        *,
        shared: bool,
    ) -> None:
        super().__init__(settings, "router", registry, shared=shared)
        self._policies = policies

    async def drain(self) -> None:
        """Refuse new calls, let those in flight end within drain_seconds, then stop."""
        self._policies.close()
        await super().drain()


class Router:
    """A whole router. Make it on a running event loop; it serves between `start` and `stop`.

    address, metrics_address: in place of the file's.
    worker: which one it is of those that share the address.
    started: a copy of the file as it was when the first of them started, whose fixed settings hold.
    Raises ConfigError and BundleError.
    """

    def __init__(
        self,
        path: Path,
        *,
        address: str | None = None,
        metrics_address: str | None = None,
        worker: Worker = ONLY_WORKER,
        started: Path | None = None,
    ) -> None:
        self._config = (config.read(started or path), str(path))
        settings = parse_settings(*self._config)
        routes = load_routes(settings)
        self.registry = CollectorRegistry()
        self.settings = settings
        self.tiers = make_tiers(settings, routes.values())
        state, answers = StateMetrics(self.registry), AnswerMetrics(self.registry, routes.values())
        for tier in self.tiers:
            state.add_tier(tier)
        candidate = prepare(*self._config, routes)
        self.policies = Policies(routes, candidate.solutions, state.policy)
        self.reloader = Reloader(path, candidate, self.policies, state)
        overrides = {"address": address, "metrics_address": metrics_address}
        given = {key: value for key, value in overrides.items() if value is not None}
        server = settings.server.model_copy(update=given)
        self.worker = worker
        self.server = RouterServer(server, self.registry, self.policies, shared=worker.count > 1)
        self._register(answers)
        self._background: list[asyncio.Task[None]] = []

    def _register(self, answers: AnswerMetrics) -> None:
        limits, routes = self.settings.limits, self.policies.routes
        tiers = {name: [self.tiers[t.name] for t in route.tiers] for name, route in routes.items()}
        self.auditor = Auditor(
            streams_of(tiers),
            AuditMetrics(self.registry, routes),
            lambda route: self.policies[route].version,
        )
        classifier = Classifier(self.policies, tiers, limits, answers, self.auditor)
        admission = Admission(limits.max_in_flight)
        router_pb2_grpc.add_RouterServiceServicer_to_server(
            RouterServicer(classifier, admission, limits.max_batch_items), self.server.grpc
        )
        admin_pb2_grpc.add_RouterAdminServiceServicer_to_server(
            AdminServicer(
                self.policies,
                self.reloader,
                self.tiers,
                window=answers.window,
                agreement=self.auditor.agreement,
                started_at=time.time(),
                worker=self.worker,
            ),
            self.server.grpc,
        )
        self.server.enable_reflection(*SERVICES)

    async def start(self) -> None:
        """Bind, connect to the tiers, follow the config file. Health stays NOT_SERVING.

        One of several workers binds when it can serve: the kernel, which gives it its share of the
        connections from then on, does not know of health. Raises ConfigError and BundleError where
        a tier is out of reach or serves something else.
        """
        if self.worker.count == 1:
            await self.server.start()
        await self.tiers.connect(self.settings.limits.tier_wait_seconds)
        self.policies.begin(*await asyncio.to_thread(self._as_the_tiers_compute))
        if self.worker.count > 1:
            await self.server.start()
        self._background.append(asyncio.create_task(self.reloader.watch()))

    def _as_the_tiers_compute(self) -> tuple[dict[str, Route], Mapping[str, Solution]]:
        """The routes with evidence in the precisions of their tiers, and their policies from it."""
        before = self.policies.routes
        routes = {name: self._in_its_precisions(route) for name, route in before.items()}
        solved = [self.policies[name].solution for name in routes if routes[name] is before[name]]
        return routes, prepare(*self._config, routes, solved).solutions

    def _in_its_precisions(self, route: Route) -> Route:
        precisions = {tier.name_in_bundle: self.tiers[tier.name].precision for tier in route.tiers}
        if set(precisions.values()) == {DEFAULT_PRECISION}:
            return route
        return route.in_precisions(precisions)

    def reload_soon(self) -> None:
        """Read the config file again, from a signal handler."""
        task = asyncio.create_task(self._reload())
        self._background.append(task)
        task.add_done_callback(self._background.remove)

    async def _reload(self) -> None:
        await self.reloader.reload()

    async def stop(self) -> None:
        """End what `start` began, but for the server, which drains by itself."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.auditor.close()
        await self.tiers.close()
