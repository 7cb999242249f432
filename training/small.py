"""Distillation of the student from the large tier's last exit."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedTokenizerBase

from services.models.multi_exit import MultiExitClassifier
from services.models.student import Student, StudentConfig
from training import progress
from training.augment import altered
from training.batches import Encoded, encode, shuffled
from training.data import LabelledTexts
from training.large import score
from training.optimise import Optimiser, autocast
from training.settings import SmallSettings, TrainSettings

WARMUP = 0.05


def train(
    data: LabelledTexts,
    teacher: MultiExitClassifier,
    tokenizer: PreTrainedTokenizerBase,
    settings: TrainSettings,
) -> Student:
    """Distil a student on the texts and their altered copies; it comes back in eval mode."""
    options = settings.small
    rng = np.random.default_rng(settings.seed + 1)
    encoded = encode(tokenizer, data.texts, settings.max_tokens)
    copies = altered(encoded, options.augment, tokenizer, rng)
    pool = _joined(encoded, copies)
    answers = score(teacher, pool, "large tier: labelling altered texts", settings.bf16)[-1]
    aims = torch.from_numpy(answers).softmax(dim=-1)
    # A text's own label counts beside the teacher's answer; altered copies have no label.
    aims[: len(data)] = 0.5 * (aims[: len(data)] + torch.from_numpy(data.targets))
    student = _fresh(teacher, len(data.label_names), options)
    _fit(student, pool, aims, settings, rng)
    return student.eval()


def _fit(
    student: Student, pool: Encoded, aims: Tensor, settings: TrainSettings, rng: np.random.Generator
) -> None:
    options = settings.small
    steps = options.epochs * math.ceil(len(pool) / options.batch_size)
    group = {
        "params": list(student.parameters()),
        "lr": options.learning_rate,
        "weight_decay": options.weight_decay,
    }
    optimiser = Optimiser([group], steps, WARMUP)
    student.train()
    with progress.step("small tier: distilling", steps) as bar:
        for epoch in range(options.epochs):
            for batch in shuffled(pool, options.batch_size, rng):
                with autocast(settings.bf16):
                    logits = student(*batch.inputs)[0]
                loss = functional.cross_entropy(logits.float(), aims[batch.rows])
                optimiser.step(loss)
                bar.advance(f"epoch {epoch + 1}/{options.epochs} loss {loss.item():.3f}")


def _fresh(teacher: MultiExitClassifier, labels: int, options: SmallSettings) -> Student:
    """A student whose token embeddings are the teacher's, on their main directions."""
    known = teacher.encoder.get_parameter("embeddings.word_embeddings.weight").detach()
    config = StudentConfig(
        vocabulary=len(known),
        labels=labels,
        embedding=min(options.embedding, known.shape[1]),
        width=options.width,
        dropout=options.dropout,
    )
    student = Student(config)
    centred = known - known.mean(dim=0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    projected = centred @ directions[: config.embedding].T
    with torch.no_grad():
        student.tokens.weight.copy_(projected / projected.std())
    return student


def _joined(first: Encoded, second: Encoded) -> Encoded:
    segments = None
    if first.segments is not None and second.segments is not None:
        segments = first.segments + second.segments
    return Encoded(first.ids + second.ids, segments, first.padding)
