"""How many tokens go on from stage to stage: drawn at random in training, chosen on evidence after.

Trained with one share, a model serves that share; trained with many, one can be chosen once it is
known what each costs and loses (Length-Adaptive Transformer, arXiv 2010.07003).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from offramp.decision.evidence import Evidence
from services.models.multi_exit import MultiExitClassifier
from training.expected_cost import at_no_loss

Keep = tuple[float, ...]

AUTO = "auto"
LEAST_SHARE = 0.5
SHARES = (0.85, 0.7, 0.5)
# What dropping must save before it is worth its trouble.
LEAST_GAIN = 0.02


class LengthDrop:
    """Draws how many tokens a step of training keeps, where `keep` is "auto".

    Of LengthDrop, the shares are drawn anew for every step, each at random from LEAST_SHARE to 1;
    and every other step keeps all tokens, where the paper adds a second pass at full length.
    """

    def __init__(self, keep: Keep | str | None, rng: np.random.Generator) -> None:
        self._random = keep == AUTO
        self._rng = rng

    def redraw(self, network: MultiExitClassifier) -> None:
        """Set what the next step keeps; without "auto" that stays as it is."""
        if not self._random:
            return
        shares = self._rng.uniform(LEAST_SHARE, 1.0, size=network.stages - 1)
        network.keep_tokens(shares.tolist() if self._rng.random() < 0.5 else None)


def candidates(borders: int) -> list[Keep]:
    """The shares worth a try behind `borders` exits: the same behind each, or once and for all."""
    everywhere = [(share,) * borders for share in SHARES]
    once = [(share, *(1.0,) * (borders - 1)) for share in SHARES]
    return list(dict.fromkeys(everywhere + once)) if borders else []


def choose(evidence_with: Callable[[Keep | None], Evidence], tried: list[Keep]) -> Keep | None:
    """The shares with which the cascade costs least where it loses nothing; None: keep all tokens.

    evidence_with: scores the same examples with these shares; thresholds are chosen anew for each.
    Nothing lost: as accurate as the last exit that sees all tokens. What saves less than LEAST_GAIN
    of the cost is not worth its trouble.
    """
    whole = evidence_with(None)
    floor, baseline = float(whole.correct()[-1].mean()), whole.exits[-1].flops
    costs: dict[Keep | None, float] = {
        None: (1.0 - LEAST_GAIN) * at_no_loss(whole, floor, baseline)
    }
    for keep in tried:
        costs[keep] = at_no_loss(evidence_with(keep), floor, baseline)
    return min(costs, key=lambda keep: costs[keep])
