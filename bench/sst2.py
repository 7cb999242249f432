"""The shipped bundle on SST-2: accuracy, speedup, calibration and the dial, as served.

    python -m bench.sst2 --data dev.tsv [--plot docs/images/sst2.svg]

Starts the real services, sends every sentence through the router, and compares the cascade with the
same large tier at full depth: same texts, same batches, in turn, in one run. Thresholds come from
the bundle's evidence alone; the file is only looked at to count right answers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.passes import Pass, run_pass
from bench.services import running
from offramp.bundle import read_evidence, read_manifest
from offramp.client import AsyncClient, Override
from offramp.decision.calibration import expected_calibration_error
from offramp.decision.confidence import Measure
from offramp.decision.frontier import Frontier
from training.data import read_labelled
from training.provenance import TRAINING

SPEEDUPS = (1.5, 2, 3, 4, 5, 6, 8, 10, 12, 16)
FULL_DEPTH = Override(full_depth=True)
ALONE = 100


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    data: Path
    bundle: Path
    batch: int
    repeats: int
    expected_losses: tuple[float, ...]
    plot: Path | None


async def measure(options: Options) -> dict[str, Any]:
    """Run the whole benchmark; the figures that go into the last line."""
    texts, labels = _read(options)
    async with running(options.bundle) as services:
        client = services.client
        await run_pass(client, texts[: 4 * options.batch], options.batch, FULL_DEPTH)
        every_exit = await _with_policy(client, {"threshold": 1}, texts, options.batch)
        points = [
            {"setting": s, **await _point(client, {"speedup": s}, texts, labels, options)}
            for s in _within(options)
        ]
        losses = [
            {"setting": s, **await _point(client, {"expected_loss": s}, texts, labels, options)}
            for s in options.expected_losses
        ]
        differences = await _compare_alone(client, texts, options)
    headline = losses[0]
    return {
        "examples": len(texts),
        "batch": options.batch,
        "objective": {"expected_loss": headline["setting"]},
        "full_accuracy": headline["full_accuracy"],
        "cascade_accuracy": headline["accuracy"],
        "speedup_wall": headline["speedup_wall"],
        "speedup_flops": headline["speedup_flops"],
        "escalation_rate": headline["escalation_rate"],
        "exits": headline["exits"],
        "ece": _calibration(every_exit, labels),
        "accuracy_by_exit": _accuracies(every_exit, labels),
        "identical": differences,
        "losses": losses,
        "dial": points,
    }


def _within(options: Options) -> list[float]:
    """The settings that the bundle's cascade can do."""
    manifest = read_manifest(options.bundle)
    frontier = Frontier(read_evidence(options.bundle, manifest), Measure.MAX_PROB)
    most = frontier.points[-1].forecast.speedup
    return [speedup for speedup in SPEEDUPS if speedup <= most]


def _read(options: Options) -> tuple[list[str], list[str]]:
    manifest = read_manifest(options.bundle)
    made = json.loads((options.bundle / TRAINING).read_text(encoding="utf-8"))
    data = read_labelled(options.data, rename=made["rename"], label_names=manifest.labels)
    return [t.text for t in data.texts], [manifest.labels[i] for i in data.labels]


async def _with_policy(
    client: AsyncClient, objective: Mapping[str, float], texts: Sequence[str], batch: int
) -> Pass:
    await client.admin.set_policy({"objective": dict(objective)})
    return await run_pass(client, texts, batch)


async def _point(
    client: AsyncClient,
    objective: Mapping[str, float],
    texts: Sequence[str],
    labels: Sequence[str],
    options: Options,
) -> dict[str, Any]:
    """One setting against full depth, in turn, so that drift hits both alike."""
    policy = await client.admin.set_policy({"objective": dict(objective)})
    cascades, fulls = [], []
    for _ in range(options.repeats):
        fulls.append(await run_pass(client, texts, options.batch, FULL_DEPTH))
        cascades.append(await run_pass(client, texts, options.batch))
    ratios = [full.seconds / own.seconds for full, own in zip(fulls, cascades, strict=True)]
    found = cascades[0]
    return {
        "accuracy": found.accuracy(labels),
        "full_accuracy": fulls[0].accuracy(labels),
        "speedup_wall": statistics.median(ratios),
        "speedup_flops": found.speedup_flops,
        "mean_cost": found.mean_cost,
        "escalation_rate": found.escalation_rate,
        "exits": found.exit_shares,
        "thresholds": dict(policy.thresholds),
    }


def _calibration(every_exit: Pass, labels: Sequence[str]) -> dict[str, float]:
    """ECE (15 bins) by exit, from the steps of answers that passed every exit."""
    return {
        name: expected_calibration_error(
            np.asarray([answer.steps[i].confidence for answer in every_exit.answers]), right
        )
        for i, (name, right) in enumerate(_right(every_exit, labels).items())
    }


def _accuracies(every_exit: Pass, labels: Sequence[str]) -> dict[str, float]:
    return {name: float(right.mean()) for name, right in _right(every_exit, labels).items()}


def _right(every_exit: Pass, labels: Sequence[str]) -> dict[str, np.ndarray]:
    """Whether each exit's answer is right, by exit (N,)."""
    pairs = list(zip(every_exit.answers, labels, strict=True))
    return {
        step.exit: np.asarray([answer.steps[i].label == label for answer, label in pairs])
        for i, step in enumerate(every_exit.answers[0].steps)
    }


async def _compare_alone(
    client: AsyncClient, texts: Sequence[str], options: Options
) -> dict[str, Any]:
    """The same texts in batches, in another order, and some of them alone: what differs."""
    together = await run_pass(client, texts, options.batch)
    order = random.Random(0).sample(range(len(texts)), len(texts))
    shuffled = await run_pass(client, [texts[i] for i in order], options.batch)
    alone = await run_pass(client, [texts[i] for i in order[:ALONE]], 1)
    others = [*zip(order, shuffled.answers, strict=True), *zip(order, alone.answers, strict=False)]
    pairs = [(together.answers[i], other) for i, other in others]
    return {
        "compared": len(pairs),
        "exits_changed": sum(a.exit != b.exit for a, b in pairs),
        "labels_changed": sum(a.label != b.label for a, b in pairs),
        "largest_probability_difference": max(
            abs(a.probabilities[name] - b.probabilities[name])
            for a, b in pairs
            for name in a.probabilities
            if a.exit == b.exit
        ),
    }


def show(figures: Mapping[str, Any], console: Console) -> None:
    """The tables for people."""
    console.print(
        f"{figures['examples']} texts, {figures['batch']} to a call; full depth: accuracy "
        f"{figures['full_accuracy']:.4f}"
    )
    by_exit = Table("exit", "accuracy", "ECE", title="each exit answering everything")
    for name, accuracy in figures["accuracy_by_exit"].items():
        by_exit.add_row(name, f"{accuracy:.4f}", f"{figures['ece'][name]:.4f}")
    console.print(by_exit)
    settings = Table("asked for", "accuracy", "wall", "FLOPs", "cost", "escalated")
    asked = [("expected_loss", p) for p in figures["losses"]]
    for name, point in [*asked, *(("speedup", p) for p in figures["dial"])]:
        settings.add_row(
            f"{name}: {point['setting']:g}",
            f"{point['accuracy']:.4f}",
            f"{point['speedup_wall']:.2f}x",
            f"{point['speedup_flops']:.2f}x",
            f"{point['mean_cost']:.4f}",
            f"{point['escalation_rate']:.3f}",
        )
    console.print(settings)


def parse() -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="labelled sentences (TSV)")
    parser.add_argument("--bundle", type=Path, default=Path("bundles/sentiment"))
    parser.add_argument("--batch", type=int, default=32, help="texts to a call")
    parser.add_argument("--repeats", type=int, default=3, help="timed passes of each kind")
    parser.add_argument(
        "--expected-losses",
        type=float,
        nargs="+",
        default=(0.0, 0.005),
        metavar="SHARE",
        help="settings beside those of the dial; the first gives the headline figures",
    )
    parser.add_argument("--plot", type=Path, help="draw the curve into this file")
    found = vars(parser.parse_args())
    return Options(**{**found, "expected_losses": tuple(found["expected_losses"])})


def main() -> None:
    """Measure, show, draw, and end with one JSON object."""
    options = parse()
    figures = asyncio.run(measure(options))
    show(figures, Console())
    if options.plot is not None:
        from bench.plot import draw

        draw(figures, options.plot)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
