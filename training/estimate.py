"""About how long training will take, from a few real steps on real texts."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase

from services.models.multi_exit import MultiExitClassifier
from training import large, parameters
from training.batches import Batch, encode, in_order
from training.device import autocast, resolve
from training.optimise import Optimiser
from training.prepare import Prepared
from training.recipes import recipe
from training.settings import TrainSettings
from training.students import pool
from training.students.distil import epochs

# Texts looked at, in batches of similar length, as training has them; some of those are timed.
SAMPLE_BATCHES = 12
TIMED = (2, 6, 10)
# Time per text, relative to a step of training the large tier: a pass forward alone, and a step of
# training a student of each kind. Measured with the default backbone; rough, as is all of this.
FORWARD = 0.18
STUDENTS = {"static": 0.016, "conv": 0.034, "recurrent": 0.05, "shallow": 0.2}
# What `auto` is sure to train: a shallow student costs so much that it seldom can win, and is then
# left out.
AUTO_KINDS = ("static", "conv")


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds, very roughly: fine-tuning the large tier, and all that comes after it.

    large: 0 where it is taken from a finished bundle.
    """

    large: float
    rest: float

    @property
    def total(self) -> float:
        """Both together."""
        return self.large + self.rest


def estimate(prepared: Prepared) -> Estimate:
    """Time a few steps of the large tier, and count the texts that each step of the run sees."""
    settings, parts = prepared.settings, prepared.parts
    network, tokenizer = large.build(settings.large, parts.fit.label_names)
    per_text, tokens = _measured(network, tokenizer, prepared)
    more = len(prepared.unlabelled or ())
    phases = recipe(settings.large.recipe)(network, settings.large)
    seen = sum(len(parts.fit) + more * phase.unlabelled for phase in phases)
    if settings.large.bundle is not None:
        seen = 0
    rest = len(parts.held_out) * FORWARD
    if prepared.classified is None:
        rest += _students(prepared, tokens)
    return Estimate(settings.large.epochs * seen * per_text, rest * per_text)


def _students(prepared: Prepared, tokens: float) -> float:
    """Labelling what students learn from, and their learning, in texts of the large tier."""
    small = prepared.settings.small
    texts = _pool(prepared, tokens)
    kinds = (small.kind,) if small.kind in STUDENTS else AUTO_KINDS
    learning = sum(epochs(kind, texts, small) * STUDENTS[kind] for kind in kinds)
    return texts * (FORWARD + learning)


def _pool(prepared: Prepared, tokens: float) -> int:
    """About how many texts `pool.gather` will bring together."""
    data, small = prepared.parts.fit, prepared.settings.small
    room = pool.room(data)
    unlabelled = min(len(prepared.unlabelled or ()), room)
    real = len(data) + unlabelled
    copies = min(real * small.augment, small.pool_tokens / tokens, room - unlabelled)
    return real + int(copies)


def _measured(
    network: MultiExitClassifier, tokenizer: PreTrainedTokenizerBase, prepared: Prepared
) -> tuple[float, float]:
    """Seconds of training per text, and tokens per text, at the texts' own lengths."""
    texts, settings = prepared.parts.fit.texts, prepared.settings
    size = min(settings.large.batch_size, len(texts))
    sample = texts[:: max(1, len(texts) // (SAMPLE_BATCHES * size))]
    encoded = encode(tokenizer, sample, settings.max_tokens)
    batches = list(in_order(encoded, size))
    step = _Step(network, settings)
    step.seconds(batches[0])
    timed = [batches[place * len(batches) // SAMPLE_BATCHES] for place in TIMED]
    spent = sum(step.seconds(batch) for batch in timed)
    return spent / sum(len(batch.rows) for batch in timed), float(encoded.lengths.mean())


class _Step:
    """One step of training the large tier, timed."""

    def __init__(self, network: MultiExitClassifier, settings: TrainSettings) -> None:
        self._device, self._bf16 = resolve(settings.device), settings.bf16
        self._network = network.to(self._device).train()
        groups = parameters.groups(network, settings.large)
        self._optimiser = Optimiser(groups, len(TIMED) + 1, warmup=0.0)

    def seconds(self, batch: Batch) -> float:
        """Seconds that a step on a batch takes."""
        began = time.perf_counter()
        with autocast(self._bf16, self._device):
            logits = self._network(*batch.to(self._device).inputs).float()
        self._optimiser.step(-logits.log_softmax(dim=-1).mean())
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began
