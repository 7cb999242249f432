"""Labelled files: what is read, and what each mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.data import Columns, DataError, Text, read_labelled


def write(tmp_path: Path, name: str, content: str) -> Path:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return path


def test_a_text_given_several_labels_becomes_one_with_their_shares(tmp_path: Path) -> None:
    path = write(tmp_path, "d.tsv", "label\ttext\n1\tgood\n1\tgood\n0\tgood\n0\tbad\n")
    data = read_labelled(path, rename={"0": "negative", "1": "positive"})
    assert data.texts == (Text("good"), Text("bad"))
    assert data.label_names == ("negative", "positive")
    assert data.targets[0] == pytest.approx([1 / 3, 2 / 3])
    assert data.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("d.csv", 'label,text\na,"one, two"\nb,three\n'),
        ("d.jsonl", '{"label": "a", "text": "one, two"}\n{"label": "b", "text": "three"}\n'),
        ("d.tsv", "label\ttext\na\tone, two\nb\tthree\n"),
    ],
)
def test_every_format_reads_alike(tmp_path: Path, name: str, content: str) -> None:
    data = read_labelled(write(tmp_path, name, content))
    assert [t.text for t in data.texts] == ["one, two", "three"]
    assert not data.pairs


def test_quotes_in_a_tsv_are_text(tmp_path: Path) -> None:
    data = read_labelled(write(tmp_path, "d.tsv", 'label\ttext\na\t"open\nb\tclose"\n'))
    assert [t.text for t in data.texts] == ['"open', 'close"']


def test_pairs_are_found_by_their_usual_columns(tmp_path: Path) -> None:
    data = read_labelled(write(tmp_path, "d.tsv", "label\ttext_a\ttext_b\nx\tq\tr\ny\tq\ts\n"))
    assert data.pairs
    assert data.texts == (Text("q", "r"), Text("q", "s"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("score\ttext\n1\tgood\n", "no label column 'label' or 'class' or 'target'; the columns"),
        ("label\tbody\n1\tgood\n", "name one with --text-column"),
        ("label\ttext\n1\tgood\n0\t \n", ":3: the text is empty"),
        ("label\ttext\n\tgood\n", ":2: the label is empty"),
        ("label\ttext\n1\tgood\n1\tfine\n", "needs at least two labels"),
        ("label\ttext\n", "has no rows"),
    ],
)
def test_a_file_that_cannot_be_trained_on_says_why(
    tmp_path: Path, content: str, message: str
) -> None:
    with pytest.raises(DataError) as caught:
        read_labelled(write(tmp_path, "d.tsv", content))
    assert message in str(caught.value)


def test_a_named_column_that_is_missing_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "d.tsv", "label\ttext\n1\tgood\n0\tbad\n")
    with pytest.raises(DataError, match="no text column 'body'; the columns are"):
        read_labelled(path, Columns(text="body"))


def test_a_label_that_the_bundle_does_not_know_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "d.tsv", "label\ttext\n1\tgood\n2\tbad\n")
    with pytest.raises(DataError, match="label '2' is not one of"):
        read_labelled(path, label_names=("0", "1"))


def test_a_missing_file_and_an_unknown_kind_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_labelled(tmp_path / "none.tsv")
    with pytest.raises(DataError, match="unknown kind of file"):
        read_labelled(write(tmp_path, "d.xls", "label\ttext\n"))
