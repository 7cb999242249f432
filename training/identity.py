"""Fingerprints of texts: whether a run has the same before it as another had."""

from __future__ import annotations

from collections.abc import Iterable

from training.checkpoint import fingerprint
from training.data import LabelledTexts, Text


def labelled(data: LabelledTexts) -> str:
    """A fingerprint of texts with their labels."""
    return fingerprint(*_written(data.texts), data.targets.tobytes(), *data.label_names)


def unlabelled(texts: Iterable[Text]) -> str:
    """A fingerprint of texts."""
    return fingerprint(*_written(texts))


def _written(texts: Iterable[Text]) -> Iterable[str]:
    return (f"{text.text}\0{text.pair or ''}" for text in texts)
