"""The texts that students learn from, with the large tier's answers: labelled once, for all.

The labelled texts, unlabelled ones where there are any, and altered copies of both (Tang et al.
2019, arXiv 1903.12136), as many as the large tier should spend its time on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from services.models.staged import RowStates, StagedNetwork
from training.augment import altered
from training.batches import Batch, Encoded, encode
from training.checkpoint import Checkpoint
from training.data import LabelledTexts, Text
from training.large import score
from training.settings import TrainSettings

# Numbers that are kept of the large tier's answers: with many classes, fewer texts.
MOST_ANSWERS = 30_000_000


@dataclass(frozen=True, slots=True)
class Pool:
    """N texts that the large tier has answered; the first of them, L, have labels too.

    answers: raw logits of its last exit (N, C), in fp16.  aims: label distributions (L, C).
    """

    encoded: Encoded
    answers: Tensor
    aims: Tensor

    def own(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Which rows of a batch have a label (B,), and the labels (B, C), arbitrary elsewhere."""
        rows = torch.from_numpy(batch.rows)
        device, last = batch.input_ids.device, len(self.aims) - 1
        return (rows <= last).to(device), self.aims[rows.clamp(max=last)].to(device)


def room(data: LabelledTexts) -> int:
    """How many texts students can learn from beside the labelled ones; 0 with many labels."""
    return max(MOST_ANSWERS // len(data.label_names) - len(data), 0)


def gather(
    data: LabelledTexts,
    teacher: StagedNetwork,
    tokenizer: PreTrainedTokenizerBase,
    settings: TrainSettings,
    unlabelled: Sequence[Text] | None = None,
) -> Pool:
    """Bring the texts together and let the large tier answer them.

    Of unlabelled texts as many as there is `room` for, drawn at random.
    """
    rng = np.random.default_rng(settings.seed + 1)
    encoded = encode(tokenizer, data.texts, settings.max_tokens)
    free = room(data)
    most_texts = len(encoded) + free
    if unlabelled and free:
        drawn = rng.permutation(len(unlabelled))[:free]
        new = encode(tokenizer, [unlabelled[i] for i in drawn], settings.max_tokens)
        encoded = joined(encoded, new)
    turns = [rng.permutation(len(encoded)) for _ in range(settings.small.augment)]
    order = np.concatenate([*turns, np.empty(0, dtype=np.intp)]).astype(np.intp)
    chosen = _within(order, encoded, settings.small.pool_tokens, most_texts - len(encoded))
    encoded = joined(encoded, altered(encoded, chosen, tokenizer, rng))
    answers = Checkpoint(settings.checkpoint).array(
        "small-answers", lambda: _answers(teacher, encoded, settings)
    )
    return Pool(encoded, torch.from_numpy(answers), torch.from_numpy(data.aims))


def _within(order: NDArray[np.intp], texts: Encoded, tokens: int, count: int) -> NDArray[np.intp]:
    """The first of `order` that come to no more than so many tokens, and so many texts."""
    spent = np.cumsum(texts.lengths[order])
    fitting: NDArray[np.intp] = order[: min(int(np.searchsorted(spent, tokens, "right")), count)]
    return fitting


def _answers(
    teacher: StagedNetwork, encoded: Encoded, settings: TrainSettings
) -> NDArray[np.float16]:
    title = "large tier: labelling for students"
    found = score(_LastExit(teacher), encoded, title, settings.bf16)
    answers: NDArray[np.float16] = found[-1].astype(np.float16)
    return answers


class _LastExit(StagedNetwork):
    """A network that gives its last answer only: the others need not be kept for every text."""

    stages = 1

    def __init__(self, network: StagedNetwork) -> None:
        super().__init__()
        self.network = network

    def embed(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None
    ) -> RowStates:
        """As the network does."""
        return self.network.embed(input_ids, attention_mask, token_type_ids)

    def run_stage(self, stage: int, rows: RowStates) -> tuple[RowStates, Tensor]:
        """All stages of the network."""
        for inner in range(self.network.stages):
            rows, logits = self.network.run_stage(inner, rows)
        return rows, logits


def joined(first: Encoded, second: Encoded) -> Encoded:
    """The texts of both, in order."""
    segments = None
    if first.segments is not None and second.segments is not None:
        segments = first.segments + second.segments
    return Encoded(first.ids + second.ids, segments, first.padding)
