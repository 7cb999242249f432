"""The data sets: read whole, and said at once where something is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench import datasets
from bench.datasets import DATA_SETS, DataSet, DataSetError, chosen, read_test, training_file


def write(path: Path, *rows: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_every_row_of_a_test_file_counts_also_a_repeated_one(tmp_path):
    path = write(tmp_path / "t.tsv", "label\ttext", "b\tsame", "a\tother", "b\tsame")
    found = read_test(path, ("a", "b"))
    assert [text.text for text in found.texts] == ["same", "other", "same"]
    assert found.labels.tolist() == [1, 0, 1]


def test_quotes_are_text_and_pairs_are_pairs(tmp_path):
    path = write(tmp_path / "t.tsv", "label\ttext_a\ttext_b", 'a\t"open\tand "shut')
    (text,) = read_test(path, ("a", "b")).texts
    assert (text.text, text.pair) == ('"open', 'and "shut')


def test_a_label_that_was_not_trained_on_is_named(tmp_path):
    path = write(tmp_path / "t.tsv", "label\ttext", "c\tx")
    with pytest.raises(DataSetError, match="'c'"):
        read_test(path, ("a", "b"))


def test_an_unknown_set_is_named_with_the_known_ones(tmp_path):
    with pytest.raises(DataSetError, match=r"no data set cola.*sst2"):
        chosen(["cola"], tmp_path)


def test_a_missing_file_is_named(tmp_path):
    write(tmp_path / "rte/train.tsv", "label\ttext")
    with pytest.raises(DataSetError, match=r"lacks rte/dev\.tsv"):
        chosen(["rte"], tmp_path)


def test_names_and_test_files_of_the_sets_are_their_own():
    assert len({found.name for found in DATA_SETS}) == len(DATA_SETS)
    assert all(found.test != found.train for found in DATA_SETS)


def test_a_bare_set_is_trained_without_punctuation(tmp_path):
    write(
        tmp_path / "x/train.tsv", "label\ttext_a\ttext_b", "a\tA well-known dog.\tIt's (here), no?"
    )
    bare = DataSet("x", "X", "x/train.tsv", "x/test.tsv", seeds=1, bare=True)
    copy = training_file(bare, tmp_path, tmp_path / "work").read_text().splitlines()
    assert [part.split() for part in copy[1].split("\t")] == [
        ["a"],
        ["A", "well-known", "dog"],
        ["It's", "here", "no"],
    ]


def test_other_sets_are_trained_on_the_file_itself(tmp_path):
    plain = DataSet("x", "X", "x/train.tsv", "x/test.tsv", seeds=1)
    assert training_file(plain, tmp_path, tmp_path / "work") == tmp_path / "x/train.tsv"


def test_a_set_is_measured_on_rows_drawn_from_its_test_file_or_on_all(tmp_path):
    rows = [f"a\ttext {i}" for i in range(50)]
    write(tmp_path / "x/test.tsv", "label\ttext", *rows)
    whole = DataSet("x", "X", "x/train.tsv", "x/test.tsv", seeds=1)
    assert datasets.test_file(whole, tmp_path, tmp_path / "work") == tmp_path / "x/test.tsv"
    drawn = datasets.test_file(replace(whole, tested=20), tmp_path, tmp_path / "work")
    header, *found = drawn.read_text().splitlines()
    assert header == "label\ttext"
    assert len(found) == len(set(found)) == 20
    assert set(found) < set(rows)
    assert found != rows[:20]
