"""Pictures: a title under the pointer for every mark, and no reach beyond the picture."""

from __future__ import annotations

import re

import pytest

from training.report.drawing import chart
from training.report.palette import as_variables, colour, exit_colour


def line(tips):
    def draw(figure, canvas):
        axes = figure.subplots()
        axes.plot([1, 2, 3], [3, 1, 2], marker="o", gid="line", color=colour("ours"), label="$x$")
        axes.bar([1], [1], color=exit_colour(2))[0].set_gid("bar")
        return {"line": tips, "bar": ["a bar"]}

    return draw


def test_every_mark_says_its_value_under_the_pointer():
    drawn = chart(line(["one", "two", "three"]), "a line")
    for picture in (drawn.wide, drawn.narrow):
        assert sorted(re.findall(r"<title>(.*?)</title>", picture)) == [
            "a bar", "one", "three", "two",
        ]  # fmt: skip


def test_a_tip_too_few_is_an_error_and_so_is_one_for_nothing():
    with pytest.raises(ValueError, match=r"shorter|longer"):
        chart(line(["one", "two"]), "a line")
    with pytest.raises(ValueError, match="no artist 'dot'"):
        chart(lambda figure, canvas: {"dot": ["one"]}, "nothing")


def test_colours_are_left_to_the_style_sheet():
    drawn = chart(line(["one", "two", "three"]), "a line")
    assert "var(--ours)" in drawn.wide
    assert "var(--exit-2)" in drawn.wide
    assert "#0b0f" not in drawn.wide
    assert as_variables(f"fill: {colour('ink')}") == "fill: var(--ink)"


def test_a_picture_styles_nothing_but_itself():
    drawn = chart(line(["one", "two", "three"]), "a line")
    assert "<style" not in drawn.wide
    assert "font-family" not in drawn.wide
    assert "<metadata" not in drawn.wide


def test_two_pictures_share_no_id():
    first, second = (chart(line(["one", "two", "three"]), words) for words in ("first", "second"))
    ids = [
        set(re.findall(r' id="([^"]+)"', picture))
        for picture in (first.wide, first.narrow, second.wide, second.narrow)
    ]
    assert all(ids)
    assert len(set().union(*ids)) == sum(len(one) for one in ids)


def test_words_are_text_in_the_pages_own_font_and_escaped():
    def draw(figure, canvas):
        figure.subplots().set_title("a < b & $c$")
        return {}

    drawn = chart(draw, 'a "quoted" <alternative>')
    assert "a &lt; b &amp; $c$</text>" in drawn.wide
    assert 'aria-label="a &quot;quoted&quot; &lt;alternative&gt;"' in drawn.wide
