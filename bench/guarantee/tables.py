"""The guarantee tables: a row per case, over all splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.guarantee.splits import NAIVE, Case, Split
from bench.publishing import Table
from offramp.decision.guarantee import Loss
from offramp.decision.risk import Method

NAMES = {
    Method.LTT: "Learn then Test",
    Method.WSR: "WSR betting",
    Method.CRC: "conformal risk control",
    NAIVE: "no guarantee",
}
TITLES = {
    Loss.ACCURACY: "points of accuracy lost to full depth",
    Loss.DISAGREEMENT: "per cent of answers that differ from full depth",
}
NOTE = (
    "Refused: share of all splits where the evidence is too thin. Above ε: share of all splits "
    "whose loss on all texts that did not choose the thresholds is above ε; with confidence, at "
    "most {delta:g} may be. The certifying texts are a large sample of these, so certificates "
    "break a little less often than on texts yet to come. Test part alone: the same on the texts "
    "that neither chose nor certified; on so few the loss is above ε by chance too, whatever the "
    "method. Conformal risk control promises the mean loss only. No guarantee: as fast as the loss "
    "seen on the certifying texts allows. Speedup: in FLOPs on the test part, mean of the splits "
    "not refused. Kept: its share of what hindsight would pick, a refused split counting as 1x."
)


@dataclass(frozen=True, slots=True)
class Row:
    """A case over all splits; shares in 0..1; None where every split was refused."""

    case: Case
    refused: float
    above: float
    above_on_test: float
    mean_loss: float | None
    speedup: float | None
    kept: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        case = self.case
        return {
            "loss": str(case.loss),
            "limit": case.limit,
            "method": str(case.method),
            "refused": self.refused,
            "above": self.above,
            "above_on_test": self.above_on_test,
            "mean_loss": self.mean_loss,
            "speedup": self.speedup,
            "kept": self.kept,
        }


def rows(found: Sequence[Split]) -> list[Row]:
    """One per case."""
    return [_row(case, found) for case in found[0].results]


def _row(case: Case, found: Sequence[Split]) -> Row:
    results = [split.results[case] for split in found]
    given = [result for result in results if result is not None]
    best = np.mean([split.hindsight[case.loss, case.limit] for split in found])
    speedups = [result.speedup for result in given]
    return Row(
        case=case,
        refused=1 - len(given) / len(found),
        above=sum(result.others > case.limit for result in given) / len(found),
        above_on_test=sum(result.test > case.limit for result in given) / len(found),
        mean_loss=float(np.mean([result.others for result in given])) if given else None,
        speedup=float(np.mean(speedups)) if given else None,
        kept=float((sum(speedups) + len(found) - len(given)) / len(found) / best),
    )


def tables(
    name: str, found: Sequence[Row], delta: float, sizes: Mapping[str, int], origin: str
) -> list[Table]:
    """One per loss; `name` says whose evidence it is, `origin` what was split how often."""
    said = ", ".join(f"{count:,} {name}" for name, count in sizes.items())
    columns = ["ε", "method", "refused", "above ε", "test part alone"]
    columns += ["mean loss", "speedup", "kept"]
    return [
        Table(
            f"{name}: {title} ({said})",
            columns,
            [_cells(row) for row in found if row.case.loss is loss],
            f"{origin} {NOTE.format(delta=delta)}",
        )
        for loss, title in TITLES.items()
    ]


def _cells(row: Row) -> list[str]:
    return [
        f"{100 * row.case.limit:g}",
        NAMES[row.case.method],
        f"{row.refused:.1%}",
        f"{row.above:.1%}",
        f"{row.above_on_test:.1%}",
        "–" if row.mean_loss is None else f"{100 * row.mean_loss:.2f}",
        "–" if row.speedup is None else f"{row.speedup:.2f}x",
        f"{row.kept:.0%}",
    ]
