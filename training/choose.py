"""Which small tier stays: the one with which the whole cascade should cost least at no loss.

Not the most accurate one: a student is worth what it spares the large tier, less what it costs
itself. Pure functions on evidence that certifies nothing; figures must come from other texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from offramp.decision.evidence import Evidence
from training.expected_cost import at_no_loss

WITHOUT = "none"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A small tier that could stay, by the evidence of the cascade that it makes.

    evidence: exits of the small tier first, then those of the large tier.
    """

    name: str
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Price:
    """What a cascade costs at no loss, relative to the large tier at full depth, in FLOPs.

    FLOPs and not seconds, so that a run with the same seed chooses the same on any machine.
    flops: of the whole cascade.  alone: of the small tier itself.
    """

    flops: float
    alone: float


@dataclass(frozen=True, slots=True)
class Choice:
    """The small tier that stays, and what every candidate was expected to cost.

    pays: whether the cascade costs less with it than without any small tier.
    prices: by candidate, and by WITHOUT for the large tier alone with its exits.
    untried: FLOPs by itself of what could not win, whatever it would have learned.
    """

    name: str
    pays: bool
    prices: Mapping[str, Price]
    untried: Mapping[str, float] = field(default_factory=dict)

    @property
    def note(self) -> str:
        """A sentence for people."""
        found = f"expected cost at no loss, 1 is the large tier at full depth: {self._costs()}"
        if self.pays:
            return f"small tier: {self.name} ({found})"
        return (
            f"no small tier pays on these texts ({found}); a cascade needs a first tier, so the "
            f"cheapest stays: {self.name}"
        )

    def _costs(self) -> str:
        costs = [f"{name} {price.flops:.3f}" for name, price in self.prices.items()]
        costs += [f"{name} {alone:.3f} or more" for name, alone in self.untried.items()]
        return ", ".join(costs)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"note": self.note}


def choose(candidates: Sequence[Candidate], untried: Mapping[str, float] | None = None) -> Choice:
    """The candidate of the cheapest cascade; the cheapest candidate where none pays.

    Raises ValueError without candidates.
    """
    if not candidates:
        raise ValueError("no small tier to choose from")
    prices = {candidate.name: _price(candidate) for candidate in candidates}
    without = _price(_without_small_tier(candidates[0]))
    name = min(prices, key=lambda n: (prices[n].flops, prices[n].alone))
    pays = prices[name].flops < without.flops
    if not pays:
        name = min(prices, key=lambda n: (prices[n].alone, prices[n].flops))
    return Choice(name, pays, {**prices, WITHOUT: without}, untried or {})


def can_win(alone: float, tried: Sequence[Candidate]) -> bool:
    """Whether a small tier of this relative cost by itself, in FLOPs, could still be chosen.

    Every text pays for the small tier: no cascade costs less than that.
    """
    if not tried:
        return True
    return alone < min(price.flops for price in choose(tried).prices.values())


def _price(candidate: Candidate) -> Price:
    evidence = candidate.evidence
    own = [place for place, e in enumerate(evidence.exits) if e.tier != evidence.exits[-1].tier]
    alone = float(evidence.costs()[own[-1]].mean()) if own else 0.0
    return Price(_expected(evidence), alone)


def _expected(evidence: Evidence) -> float:
    """Expected cost at no loss: running everything to the end loses nothing in any case."""
    return min(at_no_loss(evidence), float(evidence.costs()[-1].mean()))


def _without_small_tier(candidate: Candidate) -> Candidate:
    """The same large tier on the same texts, alone."""
    evidence = candidate.evidence
    tier = evidence.exits[-1].tier
    first = next(place for place, e in enumerate(evidence.exits) if e.tier == tier)
    alone = Evidence(
        exits=evidence.exits[first:],
        logits=evidence.logits[first:],
        labels=evidence.labels,
        tokens=evidence.tokens,
        readouts=evidence.readouts[first:],
        certifies=evidence.certifies,
    )
    return Candidate(WITHOUT, alone)
