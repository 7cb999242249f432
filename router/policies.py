"""The policies in force, by route: the file's, or what an operator has put over it for a while."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from offramp.errors import TierUnavailableError
from router.objective import Solution
from router.plan import ActivePolicy, Source, activate
from router.route import Route

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """An operator's policy; `expires_at` in Unix seconds, None: until the next change.

    timer: ends it then.
    """

    solution: Solution
    expires_at: float | None
    timer: asyncio.TimerHandle | None


class Policies:
    """Hands each request an immutable policy; a change swaps one reference."""

    def __init__(
        self,
        routes: Mapping[str, Route],
        solutions: Mapping[str, Solution],
        on_change: Callable[[ActivePolicy], None],
    ) -> None:
        self.routes = routes
        self._on_change = on_change
        self._from_file = dict(solutions)
        self._overlays: dict[str, Overlay] = {}
        self._changed = asyncio.Event()
        self._begun = False
        self._closed = False
        first = {name: activate(route, solutions[name], 1) for name, route in routes.items()}
        self._active: Mapping[str, ActivePolicy] = MappingProxyType(first)
        for policy in first.values():
            on_change(policy)

    def __getitem__(self, route: str) -> ActivePolicy:
        return self._active[route]

    @property
    def known_solutions(self) -> tuple[Solution, ...]:
        """What is solved already: the policies in force, and the file's behind them."""
        return (*self._from_file.values(), *(p.solution for p in self._active.values()))

    def begin(self, routes: Mapping[str, Route], solutions: Mapping[str, Solution]) -> None:
        """Take the evidence in what the tiers compute in, and what is solved from it.

        A route of other evidence has another version of its policy. Until then nothing else may
        change a policy: it would be solved from evidence that does not hold.
        """
        self.routes = routes
        self._from_file = dict(solutions)
        self._begun = True
        self._publish()

    def check_begun(self) -> None:
        """Raise TierUnavailableError where the tiers have not said yet what they compute in."""
        if not self._begun:
            raise TierUnavailableError(
                "the router waits for its tiers, and thresholds depend on what these compute in; "
                "try again when its health is SERVING"
            )

    def load(self, solutions: Mapping[str, Solution], *, file_changed: bool) -> None:
        """Take in the file's policies; a file that changed ends what operators have put over it."""
        self._from_file.update(solutions)
        if file_changed:
            for route in tuple(self._overlays):
                self._uncover(route)
        self._publish()

    def overlay(self, route: str, solution: Solution, ttl_seconds: float | None) -> ActivePolicy:
        """Put a policy over the file's, for a while or until the next change."""
        self._uncover(route)
        expires_at = timer = None
        if ttl_seconds is not None:
            expires_at = time.time() + ttl_seconds
            timer = asyncio.get_running_loop().call_later(ttl_seconds, self._expire, route)
        self._overlays[route] = Overlay(solution, expires_at, timer)
        self._publish()
        return self._active[route]

    async def watch(self, route: str) -> AsyncIterator[ActivePolicy]:
        """The policy of a route, now and after every change, until `close`."""
        shown: ActivePolicy | None = None
        while not self._closed:
            changed, policy = self._changed, self._active[route]
            if policy is not shown:
                shown = policy
                yield policy
            else:
                await changed.wait()

    def close(self) -> None:
        """End all watching, which would otherwise outlast every other call."""
        self._closed = True
        self._changed.set()

    def _expire(self, route: str) -> None:
        self._uncover(route)
        self._publish()

    def _uncover(self, route: str) -> None:
        """End what lies over the file's policy."""
        overlay = self._overlays.pop(route, None)
        if overlay is not None and overlay.timer is not None:
            overlay.timer.cancel()

    def _publish(self) -> None:
        before = self._active
        after = {name: self._current(name, policy) for name, policy in before.items()}
        self._active = MappingProxyType(after)
        for name, policy in after.items():
            if policy is not before[name]:
                log.info(
                    "route %s: policy version %d, from %s", name, policy.version, policy.source
                )
                self._on_change(policy)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _current(self, name: str, before: ActivePolicy) -> ActivePolicy:
        """The policy that a route should have; `before` itself where nothing differs."""
        overlay = self._overlays.get(name)
        solution = overlay.solution if overlay else self._from_file[name]
        source: Source = "admin" if overlay else "file"
        expires_at = overlay.expires_at if overlay else None
        route = self.routes[name]
        if route is before.route and solution.settings == before.solution.settings:
            if (source, expires_at) == (before.source, before.expires_at):
                return before
            return replace(before, source=source, expires_at=expires_at)
        return activate(route, solution, before.version + 1, source, expires_at)
