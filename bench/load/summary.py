"""What a run came to: throughput, latency, goodput, errors, accuracy, exits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.load.generator import Sent

PERCENTILES = (50, 90, 95, 99, 99.9)


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures of one run.

    seconds: from its start to the last answer.  throughput: answers per second.
    goodput: answers within the objective per second.
    latency: seconds by percentile, of the answers.  late: the longest that the generator was
    behind its own plan; where that is not small, latency says as much about it as about the server.
    """

    sent: int
    answered: int
    seconds: float
    throughput: float
    goodput: float
    latency: dict[str, float]
    late: float
    errors: dict[str, int]
    accuracy: float | None
    exits: dict[str, float]


def summarise(found: Sequence[Sent], labels: Sequence[str], objective: float) -> Summary:
    """Sum up a run. labels: of the texts.  objective: seconds that an answer may take."""
    answered = [one for one in found if not one.error]
    seconds = max((one.done for one in found), default=0.0)
    latencies = np.array([one.latency for one in answered])
    right = [one.label == labels[one.text] for one in answered]
    exits = Counter(one.exit for one in answered)
    return Summary(
        sent=len(found),
        answered=len(answered),
        seconds=seconds,
        throughput=len(answered) / seconds if seconds else 0.0,
        goodput=float((latencies <= objective).sum()) / seconds if seconds else 0.0,
        latency={
            f"p{percentile:g}": float(np.percentile(latencies, percentile))
            for percentile in PERCENTILES
            if answered
        },
        late=max((one.sent - one.intended for one in found), default=0.0),
        errors=dict(Counter(one.error for one in found if one.error)),
        accuracy=float(np.mean(right)) if right else None,
        exits={name: count / len(answered) for name, count in sorted(exits.items())},
    )
