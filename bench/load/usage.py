"""What the processes of a run took: processor time and memory, as they report it themselves."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

CPU, MEMORY = "process_cpu_seconds_total", "process_resident_memory_bytes"
ROWS, BATCHES = "offramp_tier_batch_rows_sum", "offramp_tier_batch_rows_count"
TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one process since it began: processor seconds, and bytes in memory now.

    rows, batches: that a tier ran, by stage; none of a router.
    """

    cpu_seconds: float
    memory_bytes: float
    rows: Mapping[str, float]
    batches: Mapping[str, float]


async def usage(metrics: Mapping[str, str]) -> dict[str, Usage]:
    """Of every process, from its metrics address."""
    found = await asyncio.gather(*(asyncio.to_thread(_read, where) for where in metrics.values()))
    return dict(zip(metrics, found, strict=True))


def _read(address: str) -> Usage:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=TIMEOUT_SECONDS) as reply:
        content = reply.read().decode()
    samples = [
        sample
        for family in text_string_to_metric_families(content)
        for sample in family.samples
        if sample.name in (CPU, MEMORY, ROWS, BATCHES)
    ]
    whole = {sample.name: sample.value for sample in samples if not sample.labels}
    by_stage: dict[str, dict[str, float]] = {ROWS: {}, BATCHES: {}}
    for sample in samples:
        if sample.labels:
            by_stage[sample.name][sample.labels["stage"]] = sample.value
    return Usage(whole[CPU], whole[MEMORY], by_stage[ROWS], by_stage[BATCHES])


def spent(
    before: Mapping[str, Usage], after: Mapping[str, Usage], answers: int
) -> dict[str, float]:
    """Processor milliseconds per answer, by process."""
    return {
        name: 1000 * (after[name].cpu_seconds - was.cpu_seconds) / max(answers, 1)
        for name, was in before.items()
    }


def batch_sizes(before: Mapping[str, Usage], after: Mapping[str, Usage]) -> dict[str, float]:
    """Mean rows of a batch by stage, of the stages that ran, in the order of the cascade."""
    found = {}
    for name, was in before.items():
        for stage, batches in after[name].batches.items():
            ran = batches - was.batches.get(stage, 0.0)
            if ran:
                found[stage] = (after[name].rows[stage] - was.rows.get(stage, 0.0)) / ran
    return found
