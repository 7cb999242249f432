"""The texts of a run: those to train on, those held out, and those without labels.

No text stands in two of them, whole or as a fragment.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from training import parting
from training.assemble import Parts
from training.balance import class_weights
from training.data import (
    Columns,
    DataError,
    LabelledTexts,
    Text,
    listed,
    read_labelled,
    read_unlabelled,
    source_name,
)
from training.fragments import words_of
from training.groups import still_tied
from training.progress import say
from training.settings import TrainSettings
from training.split import apart, split

DEFAULT_HOLD_OUT = 0.15
MOST_HOLD_OUT = 0.5


def read_parts(settings: TrainSettings) -> Parts:
    """Read the labelled data, and part it or take the validation file for the held-out part.

    Raises DataError or TooFewToCalibrateError for what cannot be trained on.
    """
    if settings.validation is not None and settings.hold_out is not None:
        raise DataError("--hold-out and --validation: give one of the two, a share or a file")
    data = read_labelled(settings.data, settings.columns, settings.rename)
    say(f"{source_name(settings.data)}: {data.rows:,} rows, {len(data):,} distinct texts")
    if settings.limit is not None:
        data = _limited(data, settings.limit, settings.seed)
    parts = _with_validation(data, settings) if settings.validation else _parted(data, settings)
    _check(parts, settings)
    weights = class_weights(parts.fit.targets, settings.balance)
    return replace(parts, fit=replace(parts.fit, class_weights=weights))


def read_more(parts: Parts, settings: TrainSettings) -> tuple[Text, ...] | None:
    """New texts to learn from: none that is trained on already, none that is held out."""
    if settings.unlabelled is None:
        return None
    columns = Columns(text=settings.columns.text, pair=settings.columns.pair)
    found = read_unlabelled(settings.unlabelled, columns, pairs=parts.fit.pairs)
    known = {words_of(text) for text in parts.fit.texts}
    clear = (found[i] for i in apart(found, parts.held_out.texts))
    new = tuple(text for text in clear if words_of(text) not in known)
    say(
        f"{source_name(settings.unlabelled)}: {len(new):,} unlabelled texts; "
        f"{len(found) - len(new):,} more stand in the labelled data and are left out"
    )
    return new


def _limited(data: LabelledTexts, limit: int, seed: int) -> LabelledTexts:
    chosen = np.random.default_rng(seed).permutation(len(data))[:limit]
    return data.subset(np.sort(chosen))


def _parted(data: LabelledTexts, settings: TrainSettings) -> Parts:
    """The data in two parts; where nobody said how much to hold out, what calibration needs."""
    share = DEFAULT_HOLD_OUT if settings.hold_out is None else settings.hold_out
    found = split(data, share, settings.seed)
    least = parting.least_held_out(settings.readout_share)
    if settings.hold_out is None and 0 < len(found.held_out) < least:
        share = min(MOST_HOLD_OUT, 1.05 * share * least / len(found.held_out))
        found = split(data, share, settings.seed)
        say(f"few texts: {share:.0%} of them are held out, for calibration")
    tied = still_tied(data.texts, found.train, found.held_out)
    if tied:
        say(
            f"{tied:,} of {len(found.held_out):,} held-out pairs share a text with a pair that is "
            "trained on: too many pairs hang together to part them. Figures on held-out pairs may "
            "be a little too good; a file of other texts, with --validation, avoids it"
        )
    return Parts(data.subset(found.train), data.subset(found.held_out))


def _with_validation(data: LabelledTexts, settings: TrainSettings) -> Parts:
    """The whole data to train on, less what stands in the validation file too."""
    source = settings.validation or ""
    held_out = read_labelled(source, settings.columns, settings.rename, data.label_names)
    if held_out.pairs != data.pairs:
        raise DataError(
            f"{source}: holds {_kind(held_out)}, {settings.data} holds {_kind(data)}; "
            "name the columns with --text-column and --pair-column"
        )
    clear = np.flatnonzero(held_out.targets.max(axis=1) > 0.5)
    kept = apart(data.texts, held_out.texts)
    if len(kept) < len(data):
        say(
            f"{len(data) - len(kept):,} training texts stand in the validation file too, whole or "
            "as fragments: left out of training"
        )
    return Parts(data.subset(kept), held_out.subset(clear))


def _kind(data: LabelledTexts) -> str:
    return "pairs of texts" if data.pairs else "single texts"


def _check(parts: Parts, settings: TrainSettings) -> None:
    """Raise where a part is too small; say what the held-out part cannot speak for."""
    parting.part(parts.held_out, settings.readout_share, settings.seed)
    lacking = _lacking(parts.fit)
    if lacking:
        raise DataError(
            f"the training part has no example of: {listed(lacking)}; bring more of them, or leave "
            "the label out of the data"
        )
    mention_unheard(parts.held_out)


def mention_unheard(held_out: LabelledTexts) -> None:
    """Say which labels the held-out part cannot speak for."""
    unheard = _lacking(held_out)
    if unheard:
        say(
            f"no held-out example of: {listed(unheard)}; how sure an answer of that label may be "
            "is judged by the others"
        )


def _lacking(part: LabelledTexts) -> list[str]:
    counts = np.bincount(part.labels, minlength=len(part.label_names))
    return [name for name, count in zip(part.label_names, counts, strict=True) if not count]
