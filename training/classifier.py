"""A finished Hugging Face classifier as the small tier, as it is (TangoBERT, arXiv 2204.06271)."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from services.models.sequence_classifier import SequenceClassifier
from training.backbone import BackboneError, check_fast, quiet


def load(name: str, labels: Sequence[str]) -> tuple[SequenceClassifier, PreTrainedTokenizerBase]:
    """A classifier by name or folder, its outputs in the order of `labels`, and its tokenizer.

    Raises BackboneError where it cannot be loaded or served, or does not know these labels.
    """
    quiet()
    try:
        model = AutoModelForSequenceClassification.from_pretrained(name)
        tokenizer = AutoTokenizer.from_pretrained(name, use_fast=True)
    except (OSError, ValueError) as error:
        raise BackboneError(f"classifier {name!r} cannot be loaded: {error}") from None
    check_fast(name, tokenizer)
    return SequenceClassifier(model, _order(name, model, labels)).eval(), tokenizer


def _order(name: str, model: PreTrainedModel, labels: Sequence[str]) -> tuple[int, ...]:
    """Which output stands for each label, by the names that the classifier gives them."""
    known = {str(label).lower(): index for index, label in (model.config.id2label or {}).items()}
    missing = [label for label in labels if label.lower() not in known]
    if missing or len(known) != len(labels):
        raise BackboneError(
            f"classifier {name!r} knows the labels {list(known)}, the data has {list(labels)}; "
            "give the labels of the data the same names with --rename"
        )
    return tuple(int(known[label.lower()]) for label in labels)
