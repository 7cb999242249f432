"""An idle service: what a text alone waits for, beside the same stages run in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from bench.load.tables.setting import Setting, shown
from bench.publishing import Part, Table
from offramp.bundle import read_manifest
from offramp.client import Classification
from services.backends.opening import Wish, open_tier
from training import progress

TITLE = "One text at a time"
TEXTS, WARM_UP = 300, 50
TIMEOUT_SECONDS = 30.0
NOTE = (
    "Milliseconds of one caller's texts, one by one, through router and tiers; beside them the "
    "tokenising and the stages that the same texts ran, called directly; in turns."
)

Times = Sequence[float]


async def measure(setting: Setting) -> Part:
    """Each text through the service, then in this process while the service idles."""
    through: list[float] = []
    directly: list[float] = []
    texts = [setting.texts[i % len(setting.texts)] for i in range(WARM_UP + TEXTS)]
    run = await _in_process(setting)
    with progress.step(TITLE.lower(), len(texts)) as bar:
        for text in texts:
            began = time.perf_counter()
            answer = await setting.services.client.classify(text, timeout=TIMEOUT_SECONDS)
            answered = time.perf_counter()
            through.append(answered - began)
            run(text, answer)
            directly.append(time.perf_counter() - answered)
            bar.advance()
    return part(setting, through[WARM_UP:], directly[WARM_UP:])


async def _in_process(setting: Setting) -> Callable[[str, Classification], None]:
    """Runs a text through just the stages that it ran in the service."""
    tiers = []
    for spec in read_manifest(setting.bundle).tiers:
        precision = await setting.services.precision(spec.name)
        backend = open_tier(setting.bundle, spec.name, Wish(precision)).backend
        backend.prepare()
        tiers.append((backend, [exit_spec.name for exit_spec in spec.exits]))

    def run(text: str, answer: Classification) -> None:
        passed = {step.exit for step in answer.steps}
        for backend, exits in tiers:
            stages = [stage for stage, name in enumerate(exits) if name in passed]
            if stages:
                states = backend.begin(backend.encode([(text, None)]))
                for stage in stages:
                    states, _ = backend.run_stage(stage, states)

    return run


def part(setting: Setting, through: Times, directly: Times) -> Part:
    """Figures and the table."""
    rows = [
        [setting.name, name, *(shown(float(np.percentile(times, p))) for p in (50, 90, 99))]
        for name, times in (("through the router", through), ("in this process", directly))
    ]
    times = float(np.median(through) / np.median(directly))
    note = f"{NOTE} The median through the router is {times:.2f} times the other."
    figures = {
        "seed": setting.seed,
        "times_in_process": times,
        "through": list(through),
        "directly": list(directly),
    }
    columns = ["bundle", "", "p50 ms", "p90 ms", "p99 ms"]
    return Part(figures, [Table(TITLE, columns, rows, note)])
