"""How much each label counts in the loss, where some labels are rare.

The loss that is trained with is a proper score: unweighted, its best answer is the probability of a
label among texts as they come, and the most probable label is right most often. Weights move that
answer towards rare labels, by the log of the weight (Menon et al. 2021, arXiv 2007.07314), as if
they were less rare. So the default is none; weigh where a rare label would otherwise hardly be
learned at all. Confidences are calibrated afterwards on texts as they come, so they stay honest
either way; a calibrator with a term per label (vector scaling) takes the shift back too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Power of a label's frequency that its weight is the inverse of.
POWERS = {"none": 0.0, "sqrt": 0.5, "weights": 1.0}


def class_weights(targets: NDArray[np.float32], balance: str) -> NDArray[np.float32] | None:
    """Weights (C,) for label distributions (N, C); over the examples their mean is one.

    None for the balance "none". Raises ValueError for an unknown one.
    """
    if balance not in POWERS:
        raise ValueError(f"balance must be one of {', '.join(POWERS)}, got {balance!r}")
    if balance == "none":
        return None
    counts = targets.sum(axis=0)
    weights = np.maximum(counts, 1.0) ** -POWERS[balance]
    found: NDArray[np.float32] = (weights * counts.sum() / (weights * counts).sum()).astype(
        np.float32
    )
    return found
