"""The small tier: students distilled from the large one, and the choice between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedTokenizerBase

from services.models.flops import exit_flops
from services.models.multi_exit import MultiExitClassifier
from services.models.staged import StagedNetwork
from training.batches import encode
from training.choose import Candidate, Choice, can_win, choose
from training.data import LabelledTexts, Text
from training.large import AUTO, score
from training.progress import say
from training.settings import SmallSettings, TrainSettings
from training.students import fresh, pool
from training.students.distil import distil
from training.trial import trial_evidence

# What `auto` tries, cheapest first; a recurrent student costs as much as a convolutional one, and
# runs slower.
CANDIDATES = ("static", "conv", "shallow")


def check(options: SmallSettings, teacher: MultiExitClassifier) -> None:
    """Raise StudentError where what is asked for cannot be distilled from this large tier."""
    fresh.check(CANDIDATES if options.kind == AUTO else (options.kind,), options, teacher)


def train(
    data: LabelledTexts,
    teacher: MultiExitClassifier,
    tokenizer: PreTrainedTokenizerBase,
    settings: TrainSettings,
    unlabelled: Sequence[Text] | None = None,
) -> StagedNetwork:
    """Distil a student of the kind that the settings name; it comes back in eval mode.

    Raises StudentError for what is not one kind.
    """
    kind = settings.small.kind
    fresh.check((kind,), settings.small, teacher)
    lessons = pool.gather(data, teacher, tokenizer, settings, unlabelled)
    student = fresh.make(kind, data, teacher, tokenizer, settings)
    distil(student, kind, lessons, settings)
    return student


def select(
    data: LabelledTexts,
    teacher: MultiExitClassifier,
    tokenizer: PreTrainedTokenizerBase,
    settings: TrainSettings,
    unlabelled: Sequence[Text] | None = None,
    *,
    trial: LabelledTexts,
) -> tuple[StagedNetwork, Choice | None]:
    """The small tier and, where the kind was left to be chosen, what the choice was between.

    trial: held-out texts to choose on; none that guarantees are tested on may be among them.
    """
    if settings.small.kind != AUTO:
        return train(data, teacher, tokenizer, settings, unlabelled), None
    check(settings.small, teacher)
    lessons = pool.gather(data, teacher, tokenizer, settings, unlabelled)
    contest = Contest(teacher, tokenizer, trial, settings)
    for kind in CANDIDATES:
        student = fresh.make(kind, data, teacher, tokenizer, settings)
        if contest.admits(kind, student):
            distil(student, kind, lessons, settings)
            contest.enter(kind, student)
    choice = contest.choice()
    say(choice.note)
    return contest.students[choice.name], choice


class Contest:
    """Students before the same large tier, on the same held-out texts."""

    def __init__(
        self,
        teacher: MultiExitClassifier,
        tokenizer: PreTrainedTokenizerBase,
        trial: LabelledTexts,
        settings: TrainSettings,
    ) -> None:
        self.students: dict[str, StagedNetwork] = {}
        self._teacher, self._labels = teacher, trial.labels
        self._texts = encode(tokenizer, trial.texts, settings.max_tokens)
        self._large = score(teacher, self._texts, "large tier: held-out texts")
        self._candidates: list[Candidate] = []
        self._untried: dict[str, float] = {}

    def admits(self, kind: str, student: StagedNetwork) -> bool:
        """Whether a student could win; one that costs more than a whole cascade need not learn."""
        tokens = self._texts.lengths
        full = exit_flops(self._teacher)[-1].at(tokens)
        alone = float((exit_flops(student)[-1].at(tokens) / full).mean())
        admitted = can_win(alone, self._candidates)
        if not admitted:
            self._untried[kind] = alone
        return admitted

    def enter(self, kind: str, student: StagedNetwork) -> None:
        """Score a student, now that it has learned."""
        own = score(student, self._texts, f"small tier, {kind}: held-out texts")
        evidence = trial_evidence(
            {"small": student, "large": self._teacher},
            np.concatenate([own, self._large]),
            self._labels,
            self._texts.lengths,
        )
        self.students[kind] = student
        self._candidates.append(Candidate(kind, evidence))

    def choice(self) -> Choice:
        """Which of those entered stays."""
        return choose(self._candidates, self._untried)
