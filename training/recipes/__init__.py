"""Recipes for the large model: which exit teaches which weights, and from what. One word each.

A recipe turns a network into the phases of its training. The network is the same under all of them,
and so are hidden words, the running mean and the learning rates: what differs is the loss.
"""

from __future__ import annotations

from collections.abc import Callable

from offramp.errors import OfframpError
from services.models.multi_exit import MultiExitClassifier
from training.recipes import frozen, joint, sweet, taught
from training.recipes.phase import Phase
from training.settings import LargeSettings

Recipe = Callable[[MultiExitClassifier, LargeSettings], tuple[Phase, ...]]

RECIPES: dict[str, Recipe] = {
    "joint": joint.phases,
    "sweet": sweet.phases,
    "frozen": frozen.phases,
    "taught": taught.phases,
}


class RecipeError(OfframpError):
    """Settings of the large model that do not go together, or that no recipe knows."""


def recipe(name: str) -> Recipe:
    """The recipe of that name. Raises RecipeError."""
    if name not in RECIPES:
        raise RecipeError(f"recipe {name!r} is not known; choose one of: {', '.join(RECIPES)}")
    return RECIPES[name]
