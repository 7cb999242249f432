"""Trial evidence: what a cascade would do on held-out texts, to choose between cascades by.

Every exit is read by itself with a temperature of its own. The evidence of a bundle is another
matter: it is taken from the models as they are stored, with the readouts that will serve.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from offramp.decision.calibration import fit_temperature
from offramp.decision.calibrators import Temperature
from offramp.decision.cost import ExitCost
from offramp.decision.evidence import Evidence
from offramp.decision.readout import Readout
from services.models.flops import exit_flops
from services.models.staged import StagedNetwork


def trial_evidence(
    tiers: Mapping[str, StagedNetwork],
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    tokens: NDArray[np.int64],
) -> Evidence:
    """Evidence with a temperature per exit, fitted on the same texts: one number takes little.

    tiers: in the order of the cascade.  logits: (E, N, C) of all their exits.
    labels, tokens: (N,).
    """
    readouts = tuple(Readout(Temperature(fit_temperature(one, labels))) for one in logits)
    return Evidence(
        exits=tuple(cost for name, network in tiers.items() for cost in _costs(name, network)),
        logits=np.asarray(logits, dtype=np.float32),
        labels=labels,
        tokens=tokens,
        readouts=readouts,
        certifies=np.zeros(len(labels), dtype=bool),
    )


def _costs(tier: str, network: StagedNetwork) -> list[ExitCost]:
    curves = exit_flops(network)
    return [ExitCost(f"{tier}@{place}", tier, curve) for place, curve in enumerate(curves)]
