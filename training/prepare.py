"""All that can be known before anything long begins; what cannot work is said here."""

from __future__ import annotations

from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerBase

from services.models.sequence_classifier import SequenceClassifier
from training import assemble, classifier, cut, device, large, small, target
from training.corpus import read_more, read_parts
from training.data import Text
from training.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a run works on.

    settings: with everything chosen that was left to the data.
    unlabelled: texts that stand neither in the training nor in the held-out part.
    exits: layers that carry a classifier while the large tier is trained.
    finished: the classifier that was named as small tier.
    """

    settings: TrainSettings
    parts: assemble.Parts
    unlabelled: tuple[Text, ...] | None
    cut: cut.Cut
    exits: tuple[int, ...]
    finished: tuple[SequenceClassifier, PreTrainedTokenizerBase] | None

    @property
    def summary(self) -> str:
        """What will be trained on, in two lines."""
        fit, held_out = self.parts.fit, self.parts.held_out
        return (
            f"{len(fit.label_names)} labels: {len(fit):,} texts to train on, {len(held_out):,} "
            f"held out to calibrate\n{self.cut}"
        )


def prepare(settings: TrainSettings) -> Prepared:
    """Read, part and check. Raises OfframpError subclasses for what cannot work."""
    target.check(settings)
    device.resolve(settings.device)
    parts = read_parts(settings)
    labels = parts.fit.label_names
    network, tokenizer = large.build(settings.large, len(labels))
    small.check(settings.small, network)
    most, finished = cut.most_tokens(network.encoder.config, tokenizer), None
    if settings.small.classifier is not None:
        finished = classifier.load(settings.small.classifier, labels)
        most = min(most, cut.most_tokens(finished[0].model.config, finished[1]))
    # Held-out texts are whole ones: what will be served, without the fragments to learn from.
    found = cut.settle(parts.held_out.texts, tokenizer, settings.max_tokens, most)
    settings = replace(settings, max_tokens=found.max_tokens)
    unlabelled = read_more(parts, settings)
    return Prepared(settings, parts, unlabelled, found, network.config.exits, finished)
