"""One run of a contender: warmed up, put under load, measured from outside."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import numpy as np

from bench.load import usage as pages
from bench.load.generator import Generator
from bench.peers import process
from bench.peers.contenders import PEERS, HttpAsk, environment_of, free_ports, workers
from bench.peers.environment import python_of
from bench.peers.full_depth import SERVERS, PeerError
from bench.services import running
from offramp.client import Classification, ItemFailure, Override

# The labels of the texts of one call.
AskLabels: TypeAlias = Callable[[Sequence[str]], Awaitable[Sequence[str]]]
# Of load before it counts: some compile a model anew for every shape of a batch.
WARM_UP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Load:
    """texts: sent again and again for `seconds`, in calls of `per_call`, `calls` at a time.

    rows: to a batch of a peer.
    """

    texts: Sequence[str]
    labels: Sequence[str]
    calls: int
    seconds: float
    rows: int
    per_call: int = 1


@dataclass(frozen=True, slots=True)
class Run:
    """What a run came to.

    cpu_ms: processor milliseconds per answer, of all of the server's processes.
    p50, p99: milliseconds of a call; None where nothing is sent.  accuracy: on all texts.
    """

    answered: int
    throughput: float
    cpu_ms: float
    memory_mb: float
    p50: float | None
    p99: float | None
    accuracy: float


@dataclass(frozen=True, slots=True)
class _Answer:
    """As the generator wants one; what it says is kept by the place of its text."""

    label: str = ""
    exit: str = ""


async def run_peer(name: str, model: Path, load: Load, work: Path) -> Run:
    """Start a peer, installed if need be, put it under load, stop it. Raises PeerError."""
    peer, port = PEERS[name], free_ports(3)
    python = python_of(peer.environment, work)
    command = peer.command(python, model, workers(), port, load.rows)
    log = work / f"{name}.log"
    timeout = aiohttp.ClientTimeout(total=120)
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        process.served(command, port, log, environment_of(work)) as session,
        aiohttp.ClientSession(timeout=timeout, connector=connector) as http,
    ):
        ask = HttpAsk(http, peer, port)
        await _until_ready(ask, load.texts[: load.per_call], log)

        async def spent() -> tuple[float, float]:
            found = process.usage(session)
            return found.cpu_seconds, found.memory_bytes

        return await measured(ask, load, spent)


async def run_ours(
    bundle: Path, load: Load, *, full_depth: bool = False, allowed: float | None = None
) -> Run:
    """Start router and tiers, put them under load, stop them.

    allowed: share of answers that the evidence may expect to lose; None: `offramp up`'s policy.
    """
    override = Override(full_depth=True) if full_depth else None
    objective = None if allowed is None else {"expected_loss": allowed}
    async with running(bundle, objective) as services:

        async def ask(texts: Sequence[str]) -> list[str]:
            if load.per_call == 1:
                return [(await services.client.classify(texts[0], override=override)).label]
            found = await services.client.classify_batch(texts, override=override)
            return [_answer(one).label for one in found]

        async def spent() -> tuple[float, float]:
            found = (await pages.usage(services.pages)).values()
            return sum(u.cpu_seconds for u in found), sum(u.memory_bytes for u in found)

        return await measured(ask, load, spent)


async def run_pipeline(model: Path, load: Load, work: Path) -> Run:
    """The pipeline, in as many processes as there are cores; it takes batches, and no requests.

    Each process takes its share of the texts.
    """
    shares = [slice(first, None, workers()) for first in range(workers())]
    runs = (
        _pipeline(model, load.texts[share], load, work / f"texts-{share.start}.json")
        for share in shares
    )
    found = await asyncio.gather(*runs)
    answered = sum(one["answered"] for one in found)
    right = [
        label == wanted
        for one, share in zip(found, shares, strict=True)
        for label, wanted in zip(one["labels"], load.labels[share], strict=True)
    ]
    return Run(
        answered=answered,
        throughput=sum(one["answered"] / one["seconds"] for one in found),
        cpu_ms=1000 * sum(one["cpu_seconds"] for one in found) / answered,
        memory_mb=sum(one["memory_bytes"] for one in found) / 1e6,
        p50=None,
        p99=None,
        accuracy=float(np.mean(right)),
    )


async def _pipeline(model: Path, texts: Sequence[str], load: Load, file: Path) -> Any:
    """What one process says of its run."""
    await asyncio.to_thread(file.write_text, json.dumps(list(texts)), encoding="utf-8")
    arguments = [model, load.rows, load.seconds, file]
    command = [sys.executable, str(SERVERS / "pipeline_run.py"), *map(str, arguments)]
    child = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment_of(file.parent) | {"PATH": "/usr/bin:/bin"},
    )
    out, err = await child.communicate()
    if child.returncode:
        raise PeerError(f"the pipeline failed: {err.decode(errors='replace')[-300:]}")
    return json.loads(out.splitlines()[-1])


def _answer(found: Classification | ItemFailure) -> Classification:
    if isinstance(found, ItemFailure):
        raise PeerError(f"a text of a call was not answered: {found}")
    return found


async def _until_ready(ask: AskLabels, texts: Sequence[str], log: Path) -> None:
    """Some open their port before they can answer."""
    for _ in range(600):
        try:
            await ask(texts)
        except (PeerError, KeyError):
            await asyncio.sleep(0.2)
        else:
            return
    raise PeerError(f"{log.stem} does not answer; see {log}")


async def measured(
    ask: AskLabels, load: Load, spent: Callable[[], Awaitable[tuple[float, float]]]
) -> Run:
    """Warm a server up, put it under load: spent gives its processor seconds and bytes so far.

    Texts that the load did not come to are asked afterwards, off the clock: accuracy is over all.
    """
    labels: dict[int, str] = {}

    async def answer(call: range) -> _Answer:
        labels.update(zip(call, await ask([load.texts[place] for place in call]), strict=True))
        return _Answer()

    places = range(len(load.texts))
    calls = [places[start : start + load.per_call] for start in places[:: load.per_call]]
    generator = Generator(answer, calls)
    await generator.closed_loop(load.calls, WARM_UP_SECONDS)
    cpu_before, _ = await spent()
    found = await generator.closed_loop(load.calls, load.seconds)
    cpu, memory = await spent()
    missed = [call for call in calls if call[0] not in labels]
    asked = found + await Generator(answer, missed).once(load.calls)
    if failed := [one for one in asked if one.error]:
        raise PeerError(f"{len(failed)} of {len(asked)} calls failed: {failed[0].error}")
    latencies = 1000 * np.array([one.latency for one in found])
    answered = sum(len(calls[one.text]) for one in found)
    right = [label == load.labels[place] for place, label in labels.items()]
    return Run(
        answered=answered,
        throughput=answered / max(one.done for one in found),
        cpu_ms=1000 * (cpu - cpu_before) / answered,
        memory_mb=memory / 1e6,
        p50=float(np.percentile(latencies, 50)),
        p99=float(np.percentile(latencies, 99)),
        accuracy=float(np.mean(right)),
    )
