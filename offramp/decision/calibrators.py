"""Calibrators: from the raw logits of an exit to probabilities; fitted in training, applied here.

A calibrator is a small frozen dataclass with a `kind` that JSON keeps: see `calibrator_from`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def softmax(logits: Array) -> Array:
    """Of the last axis. scipy.special's gives the same bits, 0.1 ms later: it asks which library
    its array is of, and this is called with every batch.
    """
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    found: Array = raised / raised.sum(axis=-1, keepdims=True)
    return found


# Weight of the temperature's own probabilities in isotonic ones: it parts classes that isotonic
# regression maps to the same value, and keeps a class that it maps to 0 possible.
FLOOR = 0.01


@dataclass(frozen=True, slots=True)
class Temperature:
    """softmax(logits / value): one number, never another answer (Guo et al., arXiv 1706.04599)."""

    value: float = 1.0
    kind: str = field(default="temperature", init=False)

    def probabilities(self, logits: NDArray[np.floating]) -> Array:
        """Probabilities (..., C) of logits (..., C)."""
        return softmax(np.asarray(logits, dtype=np.float64) / self.value)


@dataclass(frozen=True, slots=True)
class VectorScaling:
    """softmax(scale * logits + bias), a scale and a bias per class (arXiv 1706.04599)."""

    scale: tuple[float, ...]
    bias: tuple[float, ...]
    kind: str = field(default="vector_scaling", init=False)

    def probabilities(self, logits: NDArray[np.floating]) -> Array:
        """Probabilities (..., C) of logits (..., C)."""
        return softmax(np.asarray(logits, dtype=np.float64) * self.scale + self.bias)


@dataclass(frozen=True, slots=True)
class Isotonic:
    """A rising curve per class over temperature-scaled probabilities, normalised over the classes.

    One against the rest (Zadrozny & Elkan 2002), after a temperature (Zhang et al., arXiv
    2003.07329). curves: per class its corners, probabilities before (ascending) and after.
    """

    temperature: float
    curves: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]
    kind: str = field(default="isotonic", init=False)

    def probabilities(self, logits: NDArray[np.floating]) -> Array:
        """Probabilities (..., C) of logits (..., C)."""
        plain = Temperature(self.temperature).probabilities(logits)
        raised = FLOOR * plain
        for label, (before, after) in enumerate(self.curves):
            raised[..., label] += np.interp(plain[..., label], before, after)
        found: Array = raised / raised.sum(axis=-1, keepdims=True)
        return found


Calibrator: TypeAlias = Temperature | VectorScaling | Isotonic


def calibrator_from(entry: Mapping[str, Any]) -> Calibrator:
    """The calibrator that `dataclasses.asdict` made `entry` of.

    Raises ValueError for a kind that this version does not know, KeyError for a missing field.
    """
    kind = entry["kind"]
    if kind == "temperature":
        return Temperature(float(entry["value"]))
    if kind == "vector_scaling":
        return VectorScaling(tuple(entry["scale"]), tuple(entry["bias"]))
    if kind == "isotonic":
        curves = tuple((tuple(before), tuple(after)) for before, after in entry["curves"])
        return Isotonic(float(entry["temperature"]), curves)
    raise ValueError(
        f"unknown calibrator {kind!r}; there is: temperature, vector_scaling, isotonic"
    )
