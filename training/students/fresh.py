"""Students before they learn: sizes from the settings, token embeddings from the large tier."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from offramp.errors import OfframpError
from services.models import student_kinds
from services.models.multi_exit import MultiExitClassifier
from services.models.staged import StagedNetwork
from services.models.student import Student, StudentConfig
from training.data import LabelledTexts
from training.settings import SmallSettings, TrainSettings
from training.students import shallow

SHALLOW = "shallow"
KINDS = (*student_kinds.STUDENTS, SHALLOW)


class StudentError(OfframpError):
    """A student that was asked for and cannot be made."""


def check(kinds: Sequence[str], options: SmallSettings, teacher: MultiExitClassifier) -> None:
    """Raise StudentError for a kind that is not known, or more layers than the large tier has."""
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise StudentError(f"no student of kind {unknown[0]!r}; choose one of: {', '.join(KINDS)}")
    depth = teacher.encoder.config.num_hidden_layers
    if SHALLOW in kinds and not 1 <= options.layers <= depth:
        raise StudentError(
            f"a shallow student cannot keep {options.layers} of {depth} layers; keep 1 to {depth}"
        )


def make(
    kind: str,
    data: LabelledTexts,
    teacher: MultiExitClassifier,
    tokenizer: PreTrainedTokenizerBase,
    settings: TrainSettings,
) -> StagedNetwork:
    """A student of a kind for the task of `data`; the same for the same seed."""
    torch.manual_seed(settings.seed)
    options = settings.small
    if kind == SHALLOW:
        return shallow.cut(teacher, options.layers, options.narrow)
    known = shallow.words_of(teacher.encoder)
    config = StudentConfig(
        vocabulary=len(known),
        labels=len(data.label_names),
        kind=kind,
        embedding=min(options.embedding, known.shape[1]),
        width=options.width,
        dropout=options.dropout,
        pairs=data.pairs,
        separator=tokenizer.sep_token_id or 0,
    )
    return _knowing(student_kinds.make(config), known)


def _knowing(student: Student, known: Tensor) -> Student:
    """The student with the large tier's token embeddings (V, H), on their main directions."""
    projected = (known - known.mean(dim=0)) @ shallow.main_directions(
        known, student.config.embedding
    )
    with torch.no_grad():
        student.tokens.weight.copy_(projected / projected.std())
    return student
