"""RouterAdminService: what the router does, and how to change it while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import offramp
from offramp.errors import ConfigError, InvalidRequestError, PolicyNotSharedError, Violation
from offramp.v1 import admin_pb2, admin_pb2_grpc
from router.audit import Agreement
from router.loading import solve_text
from router.messages import (
    policy_message,
    reload_message,
    route_status,
    solution_message,
    timestamp,
)
from router.policies import Policies
from router.reload import Reloader
from router.tiers import Tier, Tiers
from router.validation import find_route
from router.window import Window
from router.workers import Worker

LONGEST_TTL_SECONDS = 30 * 24 * 3600.0


class AdminServicer(admin_pb2_grpc.RouterAdminServiceServicer):
    """For operators."""

    def __init__(
        self,
        policies: Policies,
        reloader: Reloader,
        tiers: Tiers,
        *,
        window: Callable[[str], Window],
        agreement: Callable[[str], Agreement],
        started_at: float,
        worker: Worker,
    ) -> None:
        self._policies = policies
        self._reloader = reloader
        self._tiers = tiers
        self._window = window
        self._agreement = agreement
        self._started_at = started_at
        self._worker = worker

    async def GetStatus(
        self, request: admin_pb2.GetStatusRequest, context: Any
    ) -> admin_pb2.GetStatusResponse:
        """Routes, tiers, the last reload."""
        return admin_pb2.GetStatusResponse(
            routes=[
                route_status(
                    self._policies[name], self._window(name).totals(), self._agreement(name)
                )
                for name in self._policies.routes
            ],
            tiers=[_tier_status(tier) for tier in self._tiers],
            reload=reload_message(self._reloader.status),
            version=offramp.__version__,
            started_at=timestamp(self._started_at),
            worker=self._worker.number,
            workers=self._worker.count,
        )

    async def GetPolicy(
        self, request: admin_pb2.GetPolicyRequest, context: Any
    ) -> admin_pb2.GetPolicyResponse:
        """The policy in force."""
        policy = self._policies[self._route(request.route)]
        return admin_pb2.GetPolicyResponse(policy=policy_message(policy))

    async def SetPolicy(
        self, request: admin_pb2.SetPolicyRequest, context: Any
    ) -> admin_pb2.SetPolicyResponse:
        """Put another policy in force."""
        if self._worker.count > 1:
            raise PolicyNotSharedError(
                f"this router is one of {self._worker.count} workers on its address, and a policy "
                "that is set would hold in one of them; edit the config file, which all follow"
            )
        self._policies.check_begun()
        name = self._route(request.route)
        ttl_seconds = _ttl_seconds(request)
        solution = await asyncio.to_thread(solve_text, request.yaml, self._policies.routes[name])
        policy = self._policies.overlay(name, solution, ttl_seconds)
        return admin_pb2.SetPolicyResponse(policy=policy_message(policy))

    async def CheckPolicy(
        self, request: admin_pb2.CheckPolicyRequest, context: Any
    ) -> admin_pb2.CheckPolicyResponse:
        """What a policy would come to."""
        self._policies.check_begun()
        route = self._policies.routes[self._route(request.route)]
        solution = await asyncio.to_thread(solve_text, request.yaml, route)
        return admin_pb2.CheckPolicyResponse(policy=solution_message(solution, route))

    async def Reload(
        self, request: admin_pb2.ReloadRequest, context: Any
    ) -> admin_pb2.ReloadResponse:
        """Read the config file again."""
        status = await self._reloader.reload()
        if not status.succeeded:
            raise ConfigError(status.error)
        return admin_pb2.ReloadResponse(reload=reload_message(status))

    async def WatchPolicy(
        self, request: admin_pb2.WatchPolicyRequest, context: Any
    ) -> AsyncIterator[admin_pb2.WatchPolicyResponse]:
        """The policy now and after every change."""
        async for policy in self._policies.watch(self._route(request.route)):
            yield admin_pb2.WatchPolicyResponse(policy=policy_message(policy))

    def _route(self, name: str) -> str:
        return find_route(name, tuple(self._policies.routes))


def _ttl_seconds(request: admin_pb2.SetPolicyRequest) -> float | None:
    if not request.HasField("ttl"):
        return None
    seconds = request.ttl.seconds + request.ttl.nanos / 1e9
    if not 0 < seconds <= LONGEST_TTL_SECONDS:
        advice = f"{seconds:g} s; give more than 0 and at most 30 days, or leave it out"
        raise InvalidRequestError([Violation("ttl", advice)])
    return seconds


def _tier_status(tier: Tier) -> admin_pb2.TierStatus:
    return admin_pb2.TierStatus(
        tier=tier.name,
        address=tier.address,
        reachable=tier.stream.available,
        in_flight=tier.stream.in_flight,
        backend=tier.description.backend if tier.description else "",
    )
