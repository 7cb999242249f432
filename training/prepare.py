"""All that can be known before anything long begins; what cannot work is said here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerBase

from services.models.sequence_classifier import SequenceClassifier
from training import (
    assemble,
    classifier,
    cut,
    device,
    finished,
    identity,
    large,
    provenance,
    small,
    target,
)
from training.corpus import read_more, read_parts
from training.data import LabelledTexts, Text
from training.progress import say
from training.settings import TrainSettings
from training.students import pool


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a run works on.

    settings: with everything chosen that was left to the data.
    unlabelled: texts that stand neither in the training nor in the held-out part.
    exits: layers that carry a classifier while the large tier is trained.
    classified: the classifier that was named as small tier.
    """

    settings: TrainSettings
    parts: assemble.Parts
    unlabelled: tuple[Text, ...] | None
    cut: cut.Cut
    exits: tuple[int, ...]
    classified: tuple[SequenceClassifier, PreTrainedTokenizerBase] | None

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
    finished.check(settings.large)
    provenance.origin(settings.large)  # for its errors: the card needs it, and is written last
    parts = read_parts(settings)
    finished.check_task(settings.large, parts.fit)
    labels = parts.fit.label_names
    network, tokenizer = large.build(settings.large, labels)
    _check_unseen(settings, parts.held_out)
    small.check(settings.small, network)
    most, classified = cut.most_tokens(network.encoder.config, tokenizer), None
    if settings.small.classifier is not None:
        classified = classifier.load(settings.small.classifier, labels)
        most = min(most, cut.most_tokens(classified[0].model.config, classified[1]))
    # Held-out texts are whole ones: what will be served, without the fragments to learn from.
    asked = settings.max_tokens or min(finished.max_tokens(settings.large), most)
    found = cut.settle(parts.held_out.texts, tokenizer, asked, most)
    settings = replace(settings, max_tokens=found.max_tokens)
    unlabelled = read_more(parts, settings)
    if classified is None:
        _mention_room(parts.fit, unlabelled or ())
    return Prepared(settings, parts, unlabelled, found, network.config.exits, classified)


def _mention_room(fit: LabelledTexts, unlabelled: Sequence[Text]) -> None:
    """Say where students learn from fewer unlabelled texts than were given."""
    room = pool.room(fit)
    if len(unlabelled) > room:
        say(
            f"students learn from {f'{room:,}' if room else 'none'} of the {len(unlabelled):,} "
            f"unlabelled texts: with {len(fit.label_names):,} labels, and {len(fit):,} texts that "
            "have one, answers of the large tier are kept for no more"
        )


def _check_unseen(settings: TrainSettings, held_out: LabelledTexts) -> None:
    """Raise FinishedError where a large tier that is taken may have learned from held-out texts.

    It did not where its own run held the same ones out, which its record tells. Of a file that is
    named with `validation` whoever names it has to know.
    """
    bundle = settings.large.bundle
    if bundle is None or settings.validation is not None:
        return
    if provenance.origin(settings.large)["taken"]["held_out_id"] != identity.labelled(held_out):
        raise finished.FinishedError(
            f"{finished.OPTION} {bundle}: its large tier may have learned from the texts that are "
            "held out now, and evidence would flatter it; give the data, --seed, --hold-out and "
            "--limit that it was trained with, or name texts that it never saw with --validation"
        )
