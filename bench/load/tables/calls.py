"""One call per text, one stream, or calls of many texts: what each way to ask costs per answer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from statistics import median
from typing import TypeAlias

from bench.load.tables.setting import Setting
from bench.load.usage import spent, usage
from bench.publishing import Part, Table
from offramp.client import AsyncClient, ItemFailure
from offramp.errors import OfframpError
from training import progress

TITLE = "Ways to ask"
IN_FLIGHT = (64, 1024)
# Runs of each way, in turns.
ROUNDS = 3
# Texts of a call of many, or about as many.
PER_CALL = 64
NOTE = (
    "Closed loop, in turns; medians. Processor milliseconds per answer, by process and of all. "
    f"A call of many texts holds {PER_CALL}, and as many such calls are out as make the number; "
    "texts that got an error are none of the answers."
)

# Sends texts with so many in flight until there are no more; how many were answered.
Way: TypeAlias = Callable[[AsyncClient, Iterator[str], int], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Run:
    """What one way came to in one run. cpu_ms: per answer, by process."""

    in_flight: int
    way: str
    throughput: float
    cpu_ms: Mapping[str, float]


async def measure(setting: Setting, seconds: float, levels: Sequence[int] = IN_FLIGHT) -> Part:
    """Each way at each level, for so many seconds a run."""
    found = []
    with progress.step(TITLE.lower(), len(levels) * ROUNDS * len(WAYS)) as bar:
        for in_flight in levels:
            for _ in range(ROUNDS):
                for name in WAYS:
                    found.append(await _run(setting, in_flight, name, seconds))
                    bar.advance(f"{name}, {in_flight} in flight")
    return part(setting, found)


async def _run(setting: Setting, in_flight: int, name: str, seconds: float) -> Run:
    pages, client = setting.services.pages, setting.services.client
    before, began = await usage(pages), time.perf_counter()
    answered = await WAYS[name](client, _texts(setting.texts, began + seconds), in_flight)
    took = time.perf_counter() - began
    return Run(in_flight, name, answered / took, spent(before, await usage(pages), answered))


def _texts(texts: Sequence[str], until: float) -> Iterator[str]:
    """From the first again when they run out, until the time is over."""
    while True:
        for text in texts:
            if time.perf_counter() >= until:
                return
            yield text


async def _one_by_one(client: AsyncClient, texts: Iterator[str], in_flight: int) -> int:
    async def caller() -> int:
        answered = 0
        for text in texts:
            with contextlib.suppress(OfframpError):
                await client.classify(text)
                answered += 1
        return answered

    return sum(await asyncio.gather(*(caller() for _ in range(in_flight))))


async def _stream(client: AsyncClient, texts: Iterator[str], in_flight: int) -> int:
    async def source() -> AsyncIterator[str]:
        for text in texts:
            yield text

    answers = client.classify_stream(source(), max_in_flight=in_flight, ordered=False)
    return sum([_answered(answer) async for _, answer in answers])


async def _many_at_a_time(client: AsyncClient, texts: Iterator[str], in_flight: int) -> int:
    async def caller() -> int:
        answered = 0
        while batch := list(islice(texts, in_flight // callers)):
            answered += sum(map(_answered, await client.classify_batch(batch)))
        return answered

    callers = max(1, round(in_flight / PER_CALL))
    return sum(await asyncio.gather(*(caller() for _ in range(callers))))


def _answered(found: object) -> bool:
    return not isinstance(found, ItemFailure)


WAYS: dict[str, Way] = {
    "a call per text (`Classify`)": _one_by_one,
    "one stream (`ClassifyStream`)": _stream,
    "calls of many texts (`ClassifyBatch`)": _many_at_a_time,
}


def part(setting: Setting, found: Sequence[Run]) -> Part:
    """Figures and the table."""
    processes = list(found[0].cpu_ms)
    rows = []
    for in_flight in dict.fromkeys(run.in_flight for run in found):
        for way in WAYS:
            runs = [run for run in found if (run.in_flight, run.way) == (in_flight, way)]
            rows.append(
                [
                    setting.name,
                    f"{in_flight:,}",
                    way,
                    f"{median(run.throughput for run in runs):.0f}",
                    *(f"{median(run.cpu_ms[name] for run in runs):.2f}" for name in processes),
                    f"{median(sum(run.cpu_ms.values()) for run in runs):.2f}",
                ]
            )
    named = [f"{name} ms" for name in processes]
    columns = ["bundle", "in flight", "way", "per second", *named, "all ms"]
    figures = {"seed": setting.seed, "runs": [asdict(run) for run in found]}
    return Part(figures, [Table(TITLE, columns, rows, NOTE)])
