"""Texts from arguments, standard input and files."""

from __future__ import annotations

import io
import os
import threading

import pytest
import typer

from cli import texts


def read(tmp_path, name, content, column=None, pair_column=None):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    source = texts.from_file(path, column, pair_column)
    found = list(source.texts)
    assert source.total == len(found)
    return found


def test_a_plain_file_has_a_text_per_line_without_blank_ones(tmp_path):
    assert read(tmp_path, "a.txt", "one\n\n  \ntwo \r\nthree") == ["one", "two ", "three"]


def test_a_pipe_is_read_once_and_whole(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("one\n\ntwo\n",), daemon=True)
    writer.start()
    source = texts.from_file(pipe, None, None)
    assert source.total is None
    assert list(source.texts) == ["one", "two"]
    writer.join()


def test_tabs_and_quotes_in_a_tsv_are_taken_as_they_are(tmp_path):
    content = 'label\tsentence\n1\t"no" says she\n0\ta, b\n'
    assert read(tmp_path, "a.tsv", content) == ['"no" says she', "a, b"]


def test_a_csv_is_unquoted(tmp_path):
    assert read(tmp_path, "a.csv", 'text,label\n"a, ""b""",1\n') == ['a, "b"']


def test_json_lines_have_objects(tmp_path):
    assert read(tmp_path, "a.jsonl", '{"text": "a"}\n\n{"text": "b"}\n') == ["a", "b"]


def test_a_named_column_is_read(tmp_path):
    assert read(tmp_path, "a.tsv", "body\ttext\nx\ty\n", column="body") == ["x"]


def test_pairs_are_found_by_their_usual_names_or_named(tmp_path):
    assert read(tmp_path, "a.csv", "premise,hypothesis\na,b\n") == [("a", "b")]
    assert read(tmp_path, "b.csv", "text,other\na,b\n", pair_column="other") == [("a", "b")]


@pytest.mark.parametrize(
    ("name", "content", "column", "message"),
    [
        ("a.tsv", "x\ty\n1\t2\n", None, "no column text or sentence"),
        ("a.tsv", "x\ty\n1\t2\n", "z", "no column z; it has x, y"),
        ("a.tsv", "", None, "has no rows"),
        ("a.txt", "a\n", "text", "has no columns"),
        ("a.jsonl", "{broken\n", None, "line 1 is not JSON"),
        ("a.jsonl", "[1]\n", None, "line 1 is no object"),
        ("a.jsonl", '{"text": "a"}\n{"text": 3}\n', None, "row 2: 'text' holds no text"),
    ],
)
def test_a_file_that_does_not_fit_is_a_usage_error(tmp_path, name, content, column, message):
    with pytest.raises(typer.BadParameter, match=message):
        read(tmp_path, name, content, column)


def test_standard_input_is_read_line_by_line(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("one\n\ntwo\n"))
    source = texts.from_stdin()
    assert source.total is None
    assert list(source.texts) == ["one", "two"]


def test_a_pair_goes_with_one_text():
    assert list(texts.from_arguments(["a"], "b").texts) == [("a", "b")]
    with pytest.raises(typer.BadParameter, match="exactly one"):
        texts.from_arguments(["a", "c"], "b")


@pytest.mark.parametrize(
    "arguments",
    [
        ("a", "--file", __file__),
        ("a", "--column", "text"),
        ("a", "b", "--pair", "c"),
        ("--file", "no-such-file.tsv"),
    ],
)
def test_contradicting_sources_are_exit_code_2(offramp, arguments):
    assert offramp("classify", *arguments).exit_code == 2
