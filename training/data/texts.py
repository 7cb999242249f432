"""Texts, and texts with their labels: what training and calibration work on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Text:
    """A single text, or a pair."""

    text: str
    pair: str | None = None


@dataclass(frozen=True, slots=True)
class LabelledTexts:
    """N distinct texts with their label distributions.

    targets: (N, C); a row is one-hot unless the file gives the same text several labels.
    class_weights: (C,) how much each label counts in a loss; None for all alike.
    repeats: (N,) how many rows of a file each text stands for; None for one each.
    """

    texts: tuple[Text, ...]
    targets: NDArray[np.float32]
    label_names: tuple[str, ...]
    class_weights: NDArray[np.float32] | None = None
    repeats: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def rows(self) -> int:
        """How many rows of a file the texts come from, repeated ones and all."""
        return len(self) if self.repeats is None else int(self.repeats.sum())

    def by_row(self) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """For every row (R,) of the file, text by text: the index of its text, and its label."""
        repeats = np.ones(len(self)) if self.repeats is None else self.repeats
        counts = np.rint(self.targets * repeats[:, None]).astype(np.int64)
        places, labels = np.nonzero(counts)
        times = counts[places, labels]
        return np.repeat(places, times), np.repeat(labels, times)

    @property
    def pairs(self) -> bool:
        """Whether the texts are pairs."""
        return self.texts[0].pair is not None

    @property
    def aims(self) -> NDArray[np.float32]:
        """Targets (N, C) scaled by the class weights: what a loss should be computed with."""
        return self.targets if self.class_weights is None else self.targets * self.class_weights

    @property
    def labels(self) -> NDArray[np.int64]:
        """The most frequent label of each text (N,)."""
        most: NDArray[np.int64] = self.targets.argmax(axis=1).astype(np.int64)
        return most

    def subset(self, indices: Sequence[int] | NDArray[np.integer]) -> LabelledTexts:
        """The texts at `indices`, in that order."""
        chosen = tuple(self.texts[i] for i in indices)
        targets = self.targets[np.asarray(indices, dtype=int)]
        repeats = None if self.repeats is None else self.repeats[np.asarray(indices, dtype=int)]
        return replace(self, texts=chosen, targets=targets, repeats=repeats)
