"""From a matplotlib figure to an SVG picture that is part of the page.

Matplotlib draws the axes, ticks and curves; the browser colours them, sets their text in the page's
own font, and shows the value under the pointer (an SVG title). No script is needed for any of it.
Every picture is drawn twice, for a wide screen and for a phone, and the style sheet shows the one
that fits: a picture made for one and scaled to the other would not be readable.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from training.report.palette import as_variables, colour

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
POINTS_PER_INCH = 72
WIDE_STEPS = (0.2, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0, 50.0, 100.0, 200.0, 500.0)
NARROW_STEPS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)


@dataclass(frozen=True, slots=True)
class Canvas:
    """Room for a picture, in CSS pixels."""

    width: float
    height: float
    font: float

    @property
    def wide(self) -> bool:
        """Whether it is the one for a wide screen."""
        return self.width > 500


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture for both widths, and in words for who cannot see it."""

    alt: str
    wide: Markup
    narrow: Markup


Tips = Mapping[str, Sequence[str]]
Draw = Callable[[Figure, Canvas], Tips]


def chart(draw: Draw, alt: str, heights: tuple[float, float] = (430, 400)) -> Chart:
    """Have `draw` fill a figure for each width.

    draw: returns, by the gid of an artist, what to show under the pointer on each of its marks.
    heights: of the wide and of the narrow picture.
    """
    canvases = Canvas(940, heights[0], 14), Canvas(360, heights[1], 11)
    wide, narrow = (_picture(draw, canvas, alt) for canvas in canvases)
    return Chart(alt, wide, narrow)


def _picture(draw: Draw, canvas: Canvas, alt: str) -> Markup:
    with mpl.rc_context(_style(canvas, salt=f"{alt}{canvas.width}")):
        size = (canvas.width / POINTS_PER_INCH, canvas.height / POINTS_PER_INCH)
        figure = Figure(figsize=size, layout="constrained")
        tips = draw(figure, canvas)
        written = io.BytesIO()
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    return Markup(as_variables(_for_page(written.getvalue(), tips, alt)))


def _style(canvas: Canvas, salt: str) -> dict[Any, Any]:
    ink, muted, grid = colour("ink"), colour("muted"), colour("grid")
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": salt,  # ids must not meet those of another picture on the page
        "text.parse_math": False,
        "font.size": canvas.font,
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.edgecolor": muted,
        "axes.labelsize": "medium",
        "axes.titlesize": "medium",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": grid,
        "grid.linewidth": 1,
        "xtick.color": muted,
        "ytick.color": muted,
        "xtick.labelcolor": ink,
        "ytick.labelcolor": ink,
        "legend.frameon": False,
        "lines.linewidth": 2,
    }


def _for_page(svg: bytes, tips: Tips, alt: str) -> str:
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(svg)
    _drop(root, "metadata")
    _drop(root, "style")  # it would reach the whole page
    for name in ("width", "height", "version"):
        root.attrib.pop(name)
    root.attrib |= {"role": "img", "aria-label": alt}
    for gid, texts in tips.items():
        _add_tips(root, gid, texts)
    _drop_unused_ids(root)
    for element in root.iter():
        element.tail = None  # the indentation is a quarter of the text
        element.text = (element.text or "").strip() or None
    written = ElementTree.tostring(root, encoding="unicode")
    return re.sub(r" ?font-family: [^;\"]*;?|font: ([0-9.]+px) [^;\"]*", _font_size, written)


def _drop(root: ElementTree.Element, name: str) -> None:
    for parent in list(root.iter()):
        for child in parent.findall(f"{{{SVG}}}{name}"):
            parent.remove(child)


def _font_size(found: re.Match[str]) -> str:
    return f"font-size: {found[1]}" if found[1] else ""


def _add_tips(root: ElementTree.Element, gid: str, texts: Sequence[str]) -> None:
    """Give each mark of an artist its title; the marks of a line are its markers."""
    artist = root.find(f".//{{{SVG}}}g[@id='{gid}']")
    if artist is None:
        raise ValueError(f"the picture has no artist {gid!r}")
    marks = artist.findall(f".//{{{SVG}}}use") or artist.findall(f".//{{{SVG}}}path")
    for mark, text in zip(marks, texts, strict=True):
        ElementTree.SubElement(mark, f"{{{SVG}}}title").text = text
        mark.set("class", "mark")


def _drop_unused_ids(root: ElementTree.Element) -> None:
    """Ids such as `axes_1` stand in every picture, but only once on a page."""
    links = [value for element in root.iter() for value in element.attrib.values() if "#" in value]
    used = set(re.findall(r"#([\w-]+)", " ".join(links)))
    for element in root.iter():
        if element.get("id") not in used:
            element.attrib.pop("id", None)


def legend_below(figure: Figure, axes: Axes, columns: int) -> None:
    """The names of what is drawn, under the axes, in the order it was drawn."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=columns)


def speedup_axis(axes: Axes, speedups: Sequence[float], canvas: Canvas) -> None:
    """A logarithmic axis that holds these speedups, labelled as people say them."""
    least, largest = min(*speedups, 1.0), max(speedups)
    steps = WIDE_STEPS if canvas.wide else NARROW_STEPS
    axes.set_xscale("log")
    axes.set_xlim(least * 0.93, largest * 1.12)
    axes.set_xticks([step for step in steps if least <= step <= largest * 1.1])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", which="minor", bottom=False)
    axes.set_xlabel("speedup in FLOPs (1× is the large model at full depth)")


def percent_axis(axes: Axes, which: str = "y") -> None:
    """Shares of one, shown as percent."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
