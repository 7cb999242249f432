"""The papers' table as a picture: one small panel per data set, accuracy over speedup."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from training.compare.methods import FULL, OURS

COLUMNS = 3
# Below the full model by more than this, nobody would run it.
DEEPEST_POINTS = 6
INK, OWN = "#1f2933", "#0b7285"
COLOURS = ("#e8590c", "#9c36b5", "#5c940d", "#868e96", "#c2255c", "#1971c2")


def draw(sets: Mapping[str, Any], path: Path) -> None:
    """Draw the sets of papers.json into an SVG file."""
    mpl.rcParams.update({"svg.hashsalt": "offramp", "font.size": 9, "text.color": INK})
    rows = math.ceil(len(sets) / COLUMNS)
    figure, grid = plt.subplots(
        rows, COLUMNS, figsize=(10.5, 2.9 * rows + 0.6), squeeze=False, layout="constrained"
    )
    panels = list(grid.flat)
    for axes, found in zip(panels, sets.values(), strict=False):
        _panel(axes, found["curves"], found["full_accuracy"], found["title"])
    for axes in panels[len(sets) :]:
        axes.set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _panel(axes: Axes, curves: Mapping[str, Any], full: float, title: str) -> None:
    axes.axhline(100 * full, color=INK, linewidth=0.8, linestyle="--", label=FULL.name)
    others = iter(COLOURS)
    highest = full
    for name, accuracies in curves["accuracy"].items():
        if name == FULL.name:
            continue
        values = [math.nan if a is None else 100 * a for a in accuracies]
        highest = max([highest, *(a for a in accuracies if a is not None)])
        ours = name == OURS.name
        colour = OWN if ours else next(others)
        width = 2.2 if ours else 1.1
        axes.plot(curves["speedup_flops"], values, color=colour, linewidth=width, label=name)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks([1, 2, 4, 8, 16, 32, 64])
    axes.set_ylim(100 * full - DEEPEST_POINTS, 100 * highest + 0.5)
    axes.set_title(f"{title}: accuracy over FLOP speedup", loc="left", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e9ecef")
