"""Wall-clock speedups: cascades in turn, again and again, beside the full model in every round."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bench.inprocess import Engines, Served
from training.compare.cascade import Cascade, Outcome
from training.data import Text
from training.progress import console

# Rounds that are not counted: batches come in many shapes, each of which is compiled once.
WARM_UP = 3
# Less of the cores than this means that other work was done on them.
LEAST_CORES = 0.75


@dataclass(frozen=True, slots=True)
class Timing:
    """One cascade on the clock.

    seconds: by round.  full: the full model's in the same rounds.
    processor_speedup: the full model's processor seconds over these, median of the rounds.
    cores: processor seconds per second, median.
    differing: texts whose label or exit is not what scoring the file foretold.
    """

    seconds: tuple[float, ...]
    full: tuple[float, ...]
    processor_speedup: float
    cores: float
    differing: int

    @property
    def speedup(self) -> float:
        """The fastest rounds of both: what else a machine does only ever makes a round slower."""
        return min(self.full) / min(self.seconds)

    @property
    def spread(self) -> float:
        """Standard deviation of the speedups of single rounds, relative to their mean."""
        found = [full / own for full, own in zip(self.full, self.seconds, strict=True)]
        return statistics.pstdev(found) / statistics.mean(found)


def time_in_turn(
    engines: Engines,
    full: Cascade,
    foretold: Mapping[Cascade, Outcome],
    texts: Sequence[Text],
    repeats: int,
) -> dict[Cascade, Timing]:
    """Time every cascade of `foretold` (outcomes on these texts) and the full model, which is one.

    All run once per round, so that a machine that slows down slows all of them alike.
    """
    runners = {cascade: engines.build(cascade) for cascade in foretold}
    for runner in [*runners.values()] * WARM_UP:
        runner.run(texts)
    rounds = [
        {cascade: runner.run(texts) for cascade, runner in runners.items()} for _ in range(repeats)
    ]
    return {
        cascade: Timing(
            seconds=tuple(found[cascade].seconds for found in rounds),
            full=tuple(found[full].seconds for found in rounds),
            processor_speedup=statistics.median(
                found[full].processor_seconds / found[cascade].processor_seconds for found in rounds
            ),
            cores=statistics.median(
                found[cascade].processor_seconds / found[cascade].seconds for found in rounds
            ),
            differing=_differing(rounds[0][cascade], outcome),
        )
        for cascade, outcome in foretold.items()
    }


def warn_if_crowded(full: Timing) -> None:
    """Say so where other work took the processor from the full model while it was timed."""
    wanted = torch.get_num_threads()
    if full.cores < LEAST_CORES * wanted:
        console.print(
            f"timing had {full.cores:.1f} of {wanted} cores: the wall-clock figures are those of a "
            "crowded machine; run again when it is idle (bundles and scores are kept)"
        )


def _differing(served: Served, outcome: Outcome) -> int:
    return int(np.sum((served.labels != outcome.answers) | (served.exits != outcome.exits)))
