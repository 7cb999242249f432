"""One pass of labelled texts through the router, timed on the wall clock."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offramp.client import AsyncClient, Classification, ItemFailure, Override


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass gave: an answer per text, and the seconds it took."""

    answers: tuple[Classification, ...]
    seconds: float

    def accuracy(self, labels: Sequence[str]) -> float:
        """Share of answers that are right."""
        pairs = zip(self.answers, labels, strict=True)
        return float(np.mean([answer.label == label for answer, label in pairs]))

    @property
    def speedup_flops(self) -> float:
        """Baseline FLOPs of all texts divided by those spent."""
        spent = sum(answer.cost.flops for answer in self.answers)
        return sum(answer.cost.baseline_flops for answer in self.answers) / spent

    @property
    def mean_cost(self) -> float:
        """Mean relative cost; 1 is full depth with no small tier."""
        return float(np.mean([answer.cost.relative for answer in self.answers]))

    @property
    def escalation_rate(self) -> float:
        """Share of texts that went beyond the first tier."""
        return float(np.mean([answer.escalated for answer in self.answers]))

    @property
    def exit_shares(self) -> dict[str, float]:
        """Share of texts by the exit that answered."""
        counts = Counter(answer.exit for answer in self.answers)
        return {name: count / len(self.answers) for name, count in sorted(counts.items())}


async def run_pass(
    client: AsyncClient, texts: Sequence[str], batch: int, override: Override | None = None
) -> Pass:
    """Send all texts, `batch` to a call, one call after the other. Raises on any failed text."""
    answers: list[Classification] = []
    began = time.perf_counter()
    for start in range(0, len(texts), batch):
        chunk = texts[start : start + batch]
        answers.extend(_answered(r) for r in await client.classify_batch(chunk, override=override))
    return Pass(tuple(answers), time.perf_counter() - began)


def _answered(result: Classification | ItemFailure) -> Classification:
    if isinstance(result, ItemFailure):
        raise result.error
    return result
