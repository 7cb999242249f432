"""Texts through the stages of a backend, as its tests need them."""

import numpy as np


def begin(backend, rows):
    """States from which the first stage can be run."""
    return backend.begin(backend.encode([(text, None) for text in rows]))


def all_exits(backend, rows):
    """Logits (E, B, C) of texts that run together."""
    states, found = begin(backend, rows), []
    for stage in range(backend.stages):
        states, logits = backend.run_stage(stage, states)
        found.append(logits)
    return np.stack(found)
