"""`offramp up` at work: start, tell, wait for a signal, drain."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from cli import answers
from cli.guard import fail
from cli.launch.board import Board
from cli.launch.suite import Suite
from cli.launch.workspace import Workspace
from offramp.client import AsyncClient, Classification
from offramp.config import load
from offramp.errors import ConfigError, OfframpError
from offramp.process.child import Died
from offramp.process.ready import Ready
from offramp.rpc.addresses import obstacle
from services.settings import TierSettings

Found = TypeVar("Found")

SAMPLES = (
    "a gorgeous, witty, seductive movie",
    "the plot is a mess and the jokes fall flat",
    "not as bad as everyone says, though hardly worth the ticket",
    "it never quite makes up its mind, and that is its charm",
    "utterly forgettable",
    "one of the best films of the year",
)


async def run(workspace: Workspace, demo: bool) -> int:
    """Serve until SIGINT or SIGTERM; the exit code."""
    check_addresses(workspace)
    console = Console()
    logs = _fresh_logs(workspace.directory.parent / "logs")
    board = Board(console)
    suite = Suite(workspace, logs, board)
    stop = _stop_event(suite)
    try:
        with board:
            ready = await _unless(stop, suite.start())
        if ready is not None:
            _tell(console, workspace, logs, ready)
            if demo:
                await _unless(stop, _show(board, console, ready["router"].address))
            await stop.wait()
    except Died as died:
        fail(str(died))
        await suite.stop()
        return 1
    except Exception:
        await suite.stop()
        raise
    console.print("draining …")
    if not await suite.stop():
        fail(f"a service did not end in time and was killed; its log is in {logs}")
        return 1
    console.print("stopped")
    return 0


def check_addresses(workspace: Workspace) -> None:
    """Raise ConfigError where a service cannot listen where it is to."""
    router = workspace.settings.server
    tiers = [load(workspace.file(name), TierSettings).server for name in workspace.settings.tiers]
    for server in (router, *tiers):
        for address in (server.address, server.metrics_address):
            why = obstacle(address)
            if why is not None:
                raise ConfigError(
                    f"cannot listen on {address} ({why}): stop what listens there (another "
                    "`offramp up`?), or choose another --port, --metrics-port or --config-dir"
                )


def _fresh_logs(directory: Path) -> Path:
    """An empty folder for this run's logs; those of the last run are kept beside it."""
    if directory.exists():
        previous = directory.with_name(f"{directory.name}.previous")
        shutil.rmtree(previous, ignore_errors=True)
        directory.rename(previous)
    directory.mkdir(parents=True)
    return directory


def _stop_event(suite: Suite) -> asyncio.Event:
    """An event that the first signal sets; the second ends every service at once."""
    stop = asyncio.Event()

    def signalled() -> None:
        if stop.is_set():
            suite.kill()
        stop.set()

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(signum, signalled)
    return stop


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, Found]) -> Found | None:
    """What the work gives; None where a signal comes first, which ends it."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working in done:
        return working.result()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return None


def _tell(console: Console, workspace: Workspace, logs: Path, ready: dict[str, Ready]) -> None:
    router = ready["router"]
    tiers = [(name, at) for name, at in ready.items() if name != "router"]
    at = "" if router.address.endswith(":50051") else f" --address {router.address}"
    config = workspace.file("router")
    lines = [
        "",
        f"  gRPC     {router.address}  (RouterService, RouterAdminService, reflection)",
        f"  metrics  http://{router.metrics}/metrics",
        *(f"           http://{tier.metrics}/metrics  ({name})" for name, tier in tiers),
        f"  health   grpc.health.v1.Health/Check at {router.address}",
        f"  config   {config}" + ("  (edited: kept as it is)" if workspace.edited else ""),
        f"  logs     {logs}",
        "",
        "Try, in another terminal:",
        f'  offramp classify "a gorgeous film"{at}',
        f"  offramp policy show{at}",
        "  change the objective in the config file, save it, and classify again",
        "",
        "Ctrl-C stops everything.",
    ]
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


async def _show(board: Board, console: Console, address: str) -> None:
    """The demonstration. What is served does not depend on it: where it fails, that is told."""
    try:
        await _demonstrate(console, address)
    except OfframpError as error:
        board.note(f"warning: the samples were not classified ({error}); everything still runs")


async def _demonstrate(console: Console, address: str) -> None:
    """Classify the samples and show the table."""
    began = asyncio.get_running_loop().time()
    async with AsyncClient(address) as client:
        results = await client.classify_batch(SAMPLES)
    seconds = asyncio.get_running_loop().time() - began
    table, tally = answers.table(), answers.Tally()
    for text, result in zip(SAMPLES, results, strict=True):
        tally.add(result)
        if isinstance(result, Classification):
            table.add_row(*answers.row(text, result))
    console.print()
    console.print(table)
    console.print(tally.sentence(seconds), highlight=False)
