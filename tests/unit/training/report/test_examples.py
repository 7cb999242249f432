"""Examples: the right texts in the right groups, with what every exit said of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offramp.decision.confidence import Measure
from offramp.decision.simulate import chosen_exits
from training.data import Text
from training.report.examples import LONGEST, groups, section

THRESHOLDS = (0.9, 0.9, 0.8, 0.0)


@pytest.fixture(scope="module")
def found(sources):
    """Rows by the title of their group."""
    return {group.title: group.rows for group in groups(sources, THRESHOLDS)}


@pytest.fixture(scope="module")
def left(sources):
    """Where every text leaves."""
    return chosen_exits(sources.measured.confidences(Measure.MAX_PROB), THRESHOLDS)


def test_groups_are_told_apart_by_exit_and_answer(sources, found, left):
    correct = sources.measured.correct()
    right = correct[left, np.arange(len(left))]
    by_title = {
        "Left early, and right": (left == 0) & right,
        "Went the whole way, and it paid": (left == 3) & right & ~correct[0],
        "Went the whole way for the same answer": (left == 3) & right & correct[0],
        "Left before the end, and wrong": (left < 3) & ~right,
        "Went the whole way, and wrong": (left == 3) & ~right,
    }
    assert found.keys() == by_title.keys()
    for title, expected in by_title.items():
        assert expected.any(), title
        assert sorted(found[title]) == np.flatnonzero(expected).tolist()


def test_the_surest_come_first(sources, found):
    confidences = sources.measured.confidences(Measure.MAX_PROB)[0]
    order = confidences[found["Left early, and right"]]
    assert (np.diff(order) <= 0).all()


def test_an_example_shows_its_text_its_label_and_every_exit(sources, left):
    blocks = section(sources, sources.texts, THRESHOLDS, "5×", 2).blocks
    labels, measured = sources.manifest.labels, sources.measured
    for block in blocks:
        assert 1 <= len(block.examples) <= 2
        for example in block.examples:
            row = [text.text for text in sources.texts].index(example.text)
            assert example.label == labels[measured.labels[row]]
            states = [step.state for step in example.steps]
            assert states == ["passed"] * left[row] + ["left"] + ["beyond"] * (3 - left[row])
            for index, step in enumerate(example.steps):
                assert step.answer == labels[measured.answers()[index, row]]
                assert step.right == measured.correct()[index, row]
                assert step.confidence == measured.confidences(Measure.MAX_PROB)[index, row]


def test_a_text_of_pages_is_cut_and_pairs_show_both(sources):
    long = tuple(Text("word " * LONGEST, "second " * LONGEST) for _ in sources.texts)
    (first, *_), *_ = (
        block.examples for block in section(sources, long, THRESHOLDS, "5×", 1).blocks
    )
    assert len(first.text) <= LONGEST + 2
    assert first.text.endswith("word …")
    assert first.pair.endswith(" …")


def test_a_kind_that_no_text_is_of_is_not_shown(sources):
    all_small = replace(sources, texts=sources.texts)
    titles = [block.title for block in section(all_small, sources.texts, (0.0,) * 4, "", 1).blocks]
    assert [title.split(" (")[0] for title in titles] == [
        "Left early, and right",
        "Left before the end, and wrong",
    ]
