"""What the processes of a run took: processor time and memory, as they report it themselves."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

CPU, MEMORY = "process_cpu_seconds_total", "process_resident_memory_bytes"
TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one process since it began: processor seconds, and bytes in memory now."""

    cpu_seconds: float
    memory_bytes: float


async def usage(metrics: Mapping[str, str]) -> dict[str, Usage]:
    """Of every process, from its metrics address."""
    found = await asyncio.gather(*(asyncio.to_thread(_read, where) for where in metrics.values()))
    return dict(zip(metrics, found, strict=True))


def _read(address: str) -> Usage:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=TIMEOUT_SECONDS) as reply:
        content = reply.read().decode()
    samples = {
        sample.name: sample.value
        for family in text_string_to_metric_families(content)
        for sample in family.samples
        if sample.name in (CPU, MEMORY)
    }
    return Usage(samples[CPU], samples[MEMORY])
