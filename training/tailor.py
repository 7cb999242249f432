"""The large tier cut to what held-out texts show it needs: its exits, and the tokens that go on."""

from __future__ import annotations

import numpy as np

from offramp.decision.evidence import Evidence
from services.models.multi_exit import MultiExitClassifier
from training import exits, lengths
from training.assemble import Tier
from training.batches import encode
from training.data import LabelledTexts
from training.large import AUTO, score
from training.progress import say
from training.settings import TrainSettings
from training.trial import trial_evidence


def tailored(
    small: Tier,
    large: Tier,
    trial: LabelledTexts,
    settings: TrainSettings,
) -> MultiExitClassifier:
    """The large tier with the exits, then the shares of tokens, that the settings leave to "auto".

    trial: held-out texts to choose on; none that guarantees are tested on may be among them.
    """
    network, options = large.network, settings.large
    if not isinstance(network, MultiExitClassifier):
        raise TypeError(f"a {type(network).__name__} has no exits to choose from")
    if AUTO not in (options.exits, options.keep):
        return network
    held_out = HeldOut(small, large, trial, settings.max_tokens)
    if options.exits == AUTO:
        chosen = exits.choose(held_out.evidence(network))
        network = network.with_exits([network.config.exits[i] for i in chosen])
    if options.keep == AUTO:
        _choose_lengths(network, held_out)
    exits_chosen = ", ".join(map(str, network.config.exits))
    shares = ", ".join(f"{share:g}" for share in network.config.keep or ())
    say(f"large tier: exits at layers {exits_chosen}; of the tokens go on: {shares or 'all'}")
    return network


def _choose_lengths(network: MultiExitClassifier, held_out: HeldOut) -> None:
    def evidence_with(keep: lengths.Keep | None) -> Evidence:
        network.keep_tokens(keep)
        return held_out.evidence(network)

    network.keep_tokens(lengths.choose(evidence_with, lengths.candidates(network.stages - 1)))


class HeldOut:
    """Held-out texts that the cascade is scored on, with one large network or another."""

    def __init__(
        self,
        small: Tier,
        large: Tier,
        trial: LabelledTexts,
        max_tokens: int,
    ) -> None:
        self._labels = trial.labels
        self._encoded = encode(large.tokenizer, trial.texts, max_tokens)
        self._small = small.network
        encoded = encode(small.tokenizer, trial.texts, max_tokens)
        self._small_logits = score(small.network, encoded, "small tier: held-out texts")

    def evidence(self, network: MultiExitClassifier) -> Evidence:
        """Evidence of the cascade with this network for its large tier."""
        logits = score(network, self._encoded, "large tier: held-out texts")
        return trial_evidence(
            {"small": self._small, "large": network},
            np.concatenate([self._small_logits, logits]),
            self._labels,
            self._encoded.lengths,
        )
