"""The speed/accuracy curve of a bundle, as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, NullFormatter

INK, CASCADE, OTHER = "#1f2933", "#0b7285", "#adb5bd"


def draw(figures: Mapping[str, Any], path: Path) -> None:
    """Accuracy over wall-clock speedup: the dial, full depth, and each exit answering alone."""
    mpl.rcParams.update({"svg.hashsalt": "offramp", "font.size": 11, "text.color": INK})
    figure, axes = plt.subplots(figsize=(7.2, 4.2))
    full = 100 * figures["full_accuracy"]
    # So few texts cannot tell differences inside this band apart.
    error = 100 * math.sqrt(full / 100 * (1 - full / 100) / figures["examples"])
    axes.axhspan(full - error, full + error, color="#f1f3f5", zorder=0)
    axes.axhline(full, color=OTHER, linewidth=1, linestyle="--")
    axes.annotate(
        f"full depth, {full:.1f} % (band: one standard error)", (1.02, full + error), va="bottom"
    )
    axes.set_ylim(full - 4, full + 2.5)
    dial = figures["dial"]
    axes.plot(
        [p["speedup_wall"] for p in dial],
        [100 * p["accuracy"] for p in dial],
        color=CASCADE,
        marker="o",
        linewidth=2,
    )
    for point in dial:
        place = (point["speedup_wall"], 100 * point["accuracy"])
        axes.annotate(
            f"{point['setting']:g}",
            place,
            textcoords="offset points",
            xytext=(0, -15),
            ha="center",
            fontsize=8,
            color=CASCADE,
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks([1, 1.5, 2, 3, 4, 6, 8, 12])
    axes.set_xlabel("speedup on the wall clock, through the router (number: the setting)")
    axes.set_ylabel("accuracy, %")
    axes.set_title(f"One dial: SST-2 dev, {figures['examples']} sentences", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e9ecef")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
