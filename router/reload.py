"""Reload: the config file read again while serving, on a change, a signal or a call.

A file with a mistake changes nothing; a changed fixed setting is reported, the policies of the same
file come into force.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

from watchfiles import awatch

from offramp import config
from offramp.errors import OfframpError
from router.config import RouterSettings, fixed_differences
from router.loading import Candidate, content_hash, prepare
from router.policies import Policies
from router.state_metrics import StateMetrics

log = logging.getLogger(__name__)

# File systems that send no events (some container mounts) are read this often instead.
TICK_SECONDS = 0.4
# Long enough for an editor to finish writing, short beside the second that an edit may take.
SETTLE_MS = 50


@dataclass(frozen=True, slots=True)
class ReloadStatus:
    """The last attempt to load the file. attempted_at: Unix seconds. hash: of what is in force."""

    succeeded: bool
    attempted_at: float
    error: str
    restart_required: tuple[str, ...]
    hash: str


class Reloader:
    """Keeps the policies in step with the file; one attempt at a time."""

    def __init__(
        self, path: Path, started: Candidate, policies: Policies, metrics: StateMetrics
    ) -> None:
        self._path = path
        self._started: RouterSettings = started.settings
        self._policies = policies
        self._metrics = metrics
        self._attempted: str | None = started.hash
        self._lock = asyncio.Lock()
        self.status = ReloadStatus(True, time.time(), "", (), started.hash)
        metrics.config(succeeded=True, at=self.status.attempted_at, config_hash=started.hash)

    async def reload(self) -> ReloadStatus:
        """Read the file and put it in force if it is right; the status says how it went.

        Raises TierUnavailableError while tiers are waited for; what changed by then `watch` finds.
        """
        self._policies.check_begun()
        async with self._lock:
            try:
                candidate = await asyncio.to_thread(self._prepare)
            except OfframpError as error:
                log.error("reload failed, the last good config stays: %s", error)
                self._note(replace(self.status, succeeded=False, error=str(error)))
            except Exception as error:
                log.exception("reload failed, the last good config stays")
                message = f"{self._path}: cannot be loaded ({type(error).__name__}: {error})"
                self._note(replace(self.status, succeeded=False, error=message))
            else:
                self._put_in_force(candidate)
            return self.status

    async def watch(self) -> None:
        """Reload whenever the file's content changes, until cancelled."""
        async for _ in self._ticks():
            if await asyncio.to_thread(self._content) != self._attempted:
                await self.reload()

    async def _ticks(self) -> AsyncIterator[None]:
        # The folder is watched: editors and Kubernetes replace the file rather than write into it.
        changes = awatch(
            self._path.parent,
            watch_filter=None,
            step=SETTLE_MS,
            debounce=4 * SETTLE_MS,
            rust_timeout=int(TICK_SECONDS * 1000),
            yield_on_timeout=True,
            recursive=False,
        )
        try:
            async for _ in changes:
                yield
        except (OSError, RuntimeError) as error:
            log.warning("%s cannot be watched (%s); reading it periodically", self._path, error)
        while True:
            await asyncio.sleep(TICK_SECONDS)
            yield

    def _content(self) -> str | None:
        """Hash of the file now; None where it cannot be read."""
        try:
            return content_hash(config.read(self._path))
        except OfframpError:
            return None

    def _prepare(self) -> Candidate:
        self._attempted = None
        text = config.read(self._path)
        self._attempted = content_hash(text)
        policies = self._policies
        return prepare(text, str(self._path), policies.routes, policies.known_solutions)

    def _put_in_force(self, candidate: Candidate) -> None:
        restart = fixed_differences(self._started, candidate.settings)
        if restart:
            log.warning(
                "these settings differ in the file and need a restart: %s", ", ".join(restart)
            )
        changed = candidate.hash != self.status.hash
        self._policies.load(candidate.solutions, file_changed=changed)
        self._note(ReloadStatus(True, 0.0, "", restart, candidate.hash))
        log.info("config %s is in force", candidate.hash)

    def _note(self, status: ReloadStatus) -> None:
        self.status = replace(status, attempted_at=time.time())
        self._metrics.reload(
            succeeded=status.succeeded, at=self.status.attempted_at, config_hash=status.hash
        )
