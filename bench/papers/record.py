"""What each method reached on one data set, over its seeds: the figures that go into JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from bench.papers.comparison import Comparison
from bench.papers.points import GRID, curve, read_off
from bench.papers.verdict import Reached, behind, best, gaps
from training.compare.operating import LIMITS


def label(limit: float) -> str:
    return f"≤ {100 * limit:g} points lost" if limit else "no loss"


def reached(comparisons: Sequence[Comparison]) -> tuple[Reached, ...]:
    """Means over the seeds, of methods that have a point in every seed."""
    found = []
    for name, limit in dict.fromkeys((p.method, p.limit) for c in comparisons for p in c.points):
        pairs = [
            (p, c.timings[p.cascade])
            for c in comparisons
            for p in c.points
            if (p.method, p.limit) == (name, limit)
        ]
        if len(pairs) == len(comparisons):
            found.append(
                Reached(
                    method=name,
                    limit=limit,
                    lost=float(np.mean([p.lost.mean for p, _ in pairs])),
                    error=float(np.mean([p.lost.error for p, _ in pairs])),
                    speedup_wall=float(np.mean([timing.speedup for _, timing in pairs])),
                    speedup_flops=float(np.mean([p.speedup for p, _ in pairs])),
                    spread=float(np.mean([timing.spread for _, timing in pairs])),
                )
            )
    return tuple(found)


def full_accuracy(comparisons: Sequence[Comparison]) -> float:
    """Of the full model on the test file, mean over the seeds."""
    return float(np.mean([c.ways[0].measured[0].accuracy for c in comparisons]))


def record(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """The figures of one set for JSON; losses and accuracies are shares, not points."""
    compared = gaps([c.ways for c in comparisons])
    points = reached(comparisons)
    return {
        "full_accuracy": full_accuracy(comparisons),
        "methods": [asdict(point) | {"kept": point.kept} for point in points],
        "best": {
            label(limit): getattr(best([p for p in points if p.limit == limit]), "method", None)
            for limit in LIMITS
        },
        "behind": [asdict(gap) for gap in behind(compared)],
        "seeds": [_seed(comparison) for comparison in comparisons],
        "curves": _curves(comparisons),
    }


def _seed(comparison: Comparison) -> dict[str, Any]:
    names = comparison.test.evidence.exit_names
    return {
        "seed": comparison.seed,
        "bundle": comparison.bundle,
        **comparison.sizes,
        "cores_while_timed": comparison.timings[comparison.full].cores,
        "points": [
            {
                "method": p.method,
                "limit": p.limit,
                "exits": [names[place] for place in p.cascade.view.exits],
                "thresholds": list(p.cascade.thresholds),
                "expected_loss": asdict(p.expected),
                "loss": asdict(p.lost),
                "accuracy": p.accuracy,
                "speedup_flops": p.speedup,
                "speedup_wall": comparison.timings[p.cascade].speedup,
                "speedup_processor": comparison.timings[p.cascade].processor_speedup,
                "seconds": list(comparison.timings[p.cascade].seconds),
                "differing": comparison.timings[p.cascade].differing,
            }
            for p in comparison.points
        ],
        "read_off_test": {
            way.method.name: {
                label(limit): read_off(way, comparison.test, limit) for limit in LIMITS
            }
            for way in comparison.ways
        },
    }


def _curves(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Accuracy by method at the speedups of GRID, mean over the seeds; None beyond its reach."""
    found: dict[str, list[float | None]] = {}
    for place, way in enumerate(comparisons[0].ways):
        mean = np.mean([curve(c.ways[place]) for c in comparisons], axis=0)
        found[way.method.name] = [None if np.isnan(a) else round(float(a), 5) for a in mean]
    speedups = [round(float(speedup), 3) for speedup in GRID]
    return {"speedup_flops": speedups, "accuracy": found}
