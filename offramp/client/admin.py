"""What operators ask of a router: status, policy, reload."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from datetime import timedelta
from typing import Any

import grpc
import yaml
from google.protobuf.duration_pb2 import Duration

from offramp.client.connection import Connection
from offramp.client.failures import error_of
from offramp.client.operations import Policy, ReloadStatus, RouterStatus
from offramp.client.wire import policy_from_proto, reload_from_proto, status_from_proto
from offramp.v1 import admin_pb2


class AsyncAdmin:
    """The admin methods of a router; reached as `client.admin`.

    A policy is given as YAML, or as the mapping that the YAML stands for:
    `await client.admin.set_policy({"objective": {"speedup": 5}})`.
    """

    def __init__(self, connection: Connection, route: str) -> None:
        self._connection = connection
        self._route = route

    async def status(self, *, timeout: float | None = None) -> RouterStatus:
        """Routes, tiers, live figures and the last reload."""
        response = await self._connection.call(
            self._connection.admin.GetStatus,
            admin_pb2.GetStatusRequest(),
            self._connection.deadline(timeout),
        )
        return status_from_proto(response)

    async def policy(self, route: str | None = None, *, timeout: float | None = None) -> Policy:
        """The policy of a route, and the thresholds that it comes to."""
        response = await self._connection.call(
            self._connection.admin.GetPolicy,
            admin_pb2.GetPolicyRequest(route=self._route_or(route)),
            self._connection.deadline(timeout),
        )
        return policy_from_proto(response.policy)

    async def set_policy(
        self,
        policy: str | Mapping[str, Any],
        route: str | None = None,
        *,
        ttl: timedelta | None = None,
        timeout: float | None = None,
    ) -> Policy:
        """Put another policy in force, for `ttl` or until the next change."""
        request = admin_pb2.SetPolicyRequest(route=self._route_or(route), yaml=_as_yaml(policy))
        if ttl is not None:
            request.ttl.CopyFrom(_duration(ttl))
        response = await self._connection.call(
            self._connection.admin.SetPolicy, request, self._connection.deadline(timeout)
        )
        return policy_from_proto(response.policy)

    async def check_policy(
        self,
        policy: str | Mapping[str, Any],
        route: str | None = None,
        *,
        timeout: float | None = None,
    ) -> Policy:
        """What a policy would come to, on the bundle's evidence. Changes nothing."""
        response = await self._connection.call(
            self._connection.admin.CheckPolicy,
            admin_pb2.CheckPolicyRequest(route=self._route_or(route), yaml=_as_yaml(policy)),
            self._connection.deadline(timeout),
        )
        return policy_from_proto(response.policy)

    async def reload(self, *, timeout: float | None = None) -> ReloadStatus:
        """Have the router read its config file again; a broken file is an error, and no change."""
        response = await self._connection.call(
            self._connection.admin.Reload,
            admin_pb2.ReloadRequest(),
            self._connection.deadline(timeout),
        )
        return reload_from_proto(response.reload)

    async def watch_policy(self, route: str | None = None) -> AsyncGenerator[Policy, None]:
        """The policy of a route now and after every change, until the reader stops."""
        request = admin_pb2.WatchPolicyRequest(route=self._route_or(route))
        with self._connection.until_closed():
            call = self._connection.admin.WatchPolicy(request)
            try:
                async for response in call:
                    yield policy_from_proto(response.policy)
            except grpc.aio.AioRpcError as failed:
                raise error_of(failed, self._connection.address) from None
            finally:
                call.cancel()

    def _route_or(self, route: str | None) -> str:
        return self._route if route is None else route


def _as_yaml(policy: str | Mapping[str, Any]) -> str:
    return policy if isinstance(policy, str) else yaml.safe_dump(dict(policy), sort_keys=False)


def _duration(time: timedelta) -> Duration:
    duration = Duration()
    duration.FromTimedelta(time)
    return duration
