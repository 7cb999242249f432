"""One run from a labelled file to a bundle that can be served."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import offramp
from offramp.bundle import read_manifest
from training import assemble, identity, large, small
from training.checkpoint import Checkpoint
from training.device import reproduce, resolve
from training.parting import part
from training.prepare import Prepared, prepare
from training.progress import say
from training.report import write as report
from training.settings import TrainSettings
from training.tailor import tailored

# What a run that goes on may do otherwise: where things lie, and how quickly they are computed.
PLACES = {"data", "validation", "unlabelled", "columns", "out", "checkpoint", "name", "report"}
FREE_SETTINGS = PLACES | {"threads", "device", "data_note", "precision", "export", "serve_in"}


def run(settings: TrainSettings) -> Path:
    """Train, distil, calibrate, and write the bundle; return its folder.

    Killed, and started again with the same settings, it goes on from its checkpoint. Raises
    OfframpError subclasses; what cannot work is said before anything long is begun.
    """
    if settings.threads:
        torch.set_num_threads(settings.threads)
    prepared = prepare(settings)
    settings = prepared.settings
    say(prepared.summary)
    checkpoint = Checkpoint(settings.checkpoint or beside(settings.out))
    settings = replace(settings, checkpoint=checkpoint.folder)
    if checkpoint.claim(_identity(prepared)):
        say(f"going on from the checkpoint in {checkpoint.folder}")
    started = time.monotonic()
    models = _models(prepared, settings)
    seconds = checkpoint.seconds + time.monotonic() - started
    bundle = assemble.write(settings, prepared.parts, models, seconds)
    checkpoint.remove()
    if settings.report is not None:
        share, seed = settings.readout_share, settings.seed
        report.write(bundle, settings.report, prepared.parts.held_out, share, seed)
    return bundle


def beside(out: Path) -> Path:
    """Where the checkpoint of a run lies unless another folder is named."""
    return out.with_name(f"{out.name}.partial")


def _models(prepared: Prepared, settings: TrainSettings) -> assemble.Models:
    """Both tiers, trained on what is not held out, and fitted to each other on a part of that."""
    reproduce(resolve(settings.device))
    torch.manual_seed(settings.seed)
    held_out = prepared.parts.held_out
    places = part(held_out, settings.readout_share, settings.seed)
    trial = held_out.subset(np.union1d(places.readouts, places.choosing))
    fit, more = prepared.parts.fit, prepared.unlabelled
    network, tokenizer = large.train(fit, settings, more)
    if prepared.classified is not None:
        small_tier, choice = assemble.Tier(*prepared.classified), None
    else:
        student, choice = small.select(fit, network, tokenizer, settings, more, trial=trial)
        small_tier = assemble.Tier(student, tokenizer)
    large_tier = assemble.Tier(network, tokenizer)
    network = tailored(small_tier, large_tier, trial, settings)
    return assemble.Models(small_tier, assemble.Tier(network, tokenizer), choice)


def _identity(prepared: Prepared) -> dict[str, Any]:
    """What a run must agree in with the one whose checkpoint it goes on from."""
    settings, parts = asdict(prepared.settings), prepared.parts
    bundle = settings["large"].pop("bundle")
    return {
        "settings": {name: value for name, value in settings.items() if name not in FREE_SETTINGS},
        "large tier": bundle and read_manifest(bundle).id,
        "training texts": identity.labelled(parts.fit),
        "held-out texts": identity.labelled(parts.held_out),
        "unlabelled texts": identity.unlabelled(prepared.unlabelled or ()),
        "versions": {"offramp": offramp.__version__, "torch": torch.__version__},
    }
