"""One run from a labelled file to a bundle that can be served."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

from training import assemble, calibrate, classifier, large, small
from training.data import DataError, LabelledTexts, read_labelled
from training.progress import console
from training.settings import TrainSettings
from training.split import split


def run(settings: TrainSettings) -> Path:
    """Train, distil, calibrate, and write the bundle; return its folder.

    Raises OfframpError subclasses; what cannot work is said before anything long is begun.
    """
    assemble.check_target(settings.out)
    torch.manual_seed(settings.seed)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    data = _limited(read_labelled(settings.data, settings.columns, settings.rename), settings)
    parts = _split(data, settings)
    started = time.monotonic()
    finished = _finished_classifier(settings, data)
    network, tokenizer = large.train(parts.fit, settings)
    if finished is None:
        student = small.train(parts.fit, network, tokenizer, settings)
        finished = assemble.Tier(student, tokenizer)
    models = assemble.Models(finished, assemble.Tier(network, tokenizer))
    return assemble.write(settings, parts, models, time.monotonic() - started)


def _finished_classifier(settings: TrainSettings, data: LabelledTexts) -> assemble.Tier | None:
    """The classifier that was named as small tier; loaded first, so that a mistake shows early."""
    if settings.small.classifier is None:
        return None
    return assemble.Tier(*classifier.load(settings.small.classifier, data.label_names))


def _limited(data: LabelledTexts, settings: TrainSettings) -> LabelledTexts:
    if settings.limit is None or settings.limit >= len(data):
        return data
    chosen = np.random.default_rng(settings.seed).permutation(len(data))[: settings.limit]
    return data.subset(np.sort(chosen))


def _split(data: LabelledTexts, settings: TrainSettings) -> assemble.Parts:
    found = split(data, settings.hold_out, settings.seed)
    parts = assemble.Parts(data.subset(found.train), data.subset(found.held_out))
    calibrate.parts(len(parts.held_out), settings.temperature_share, settings.seed)
    for part, name in ((parts.fit, "training"), (parts.held_out, "held-out")):
        missing = set(range(len(data.label_names))) - set(part.labels.tolist())
        if missing:
            names = ", ".join(data.label_names[i] for i in sorted(missing))
            raise DataError(
                f"the {name} part has no example of: {names}; bring more of them or drop the label"
            )
    console.print(
        f"{len(data):,} distinct texts, {len(data.label_names)} labels: "
        f"{len(parts.fit):,} to train on, {len(parts.held_out):,} held out to calibrate"
    )
    return parts
