"""Labelled files and datasets: what is read, and what each mistake is told."""

from __future__ import annotations

import sys
from pathlib import Path

import datasets
import pyarrow
import pytest
from pyarrow import parquet

from training.data import Columns, DataError, Text, read_labelled, read_unlabelled, source_name
from training.data.hub import Name, parse
from training.data.json_lines import open_json_lines


def write(tmp_path: Path, name: str, content: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode(encoding))
    return path


def write_parquet(tmp_path: Path, **columns: list) -> Path:
    path = tmp_path / "d.parquet"
    parquet.write_table(pyarrow.table(columns), path)
    return path


@pytest.fixture
def tickets() -> datasets.Dataset:
    """Integer classes with names, the way that datasets of the hub are."""
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["z", "a", "none"])}
    )
    rows = {"text": ["one", "two", "three"], "label": [1, 0, 1]}
    return datasets.Dataset.from_dict(rows, features=features)


def test_a_text_given_several_labels_becomes_one_with_their_shares(tmp_path: Path) -> None:
    path = write(tmp_path, "d.tsv", "label\ttext\n1\tgood\n1\tgood\n0\tgood\n0\tbad\n")
    data = read_labelled(path, rename={"0": "negative", "1": "positive"})
    assert data.texts == (Text("good"), Text("bad"))
    assert data.label_names == ("negative", "positive")
    assert data.targets[0] == pytest.approx([1 / 3, 2 / 3])
    assert data.labels.tolist() == [1, 0]
    assert data.rows == 4
    places, labels = data.by_row()
    assert sorted(zip(places.tolist(), labels.tolist(), strict=True)) == [
        (0, 0),
        (0, 1),
        (0, 1),
        (1, 0),
    ]
    assert data.subset([1]).rows == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("d.csv", 'label,text\na,"one, ""two"""\nb,three\n'),
        ("d.csv", 'label,text\r\na,"one, ""two"""\r\nb,three\r\n'),
        ("d.csv", '\ufefflabel;text\na;one, "two"\nb;three\n'),
        ("d.jsonl", '{"label": "a", "text": "one, \\"two\\""}\n\n{"label": "b", "text": "three"}'),
        (
            "d.json",
            '\ufeff{"label": "a", "text": "one, \\"two\\""}\r\n{"label":"b","text":"three"}',
        ),
        ("d.tsv", 'label\ttext\na\tone, "two"\nb\tthree\n'),
        ("d.TSV", '\ufefflabel\ttext\r\na\tone, "two"\r\n\r\nb\tthree'),
    ],
)
def test_every_format_reads_alike(tmp_path: Path, name: str, content: str) -> None:
    data = read_labelled(write(tmp_path, name, content))
    assert [t.text for t in data.texts] == ['one, "two"', "three"]
    assert data.label_names == ("a", "b")
    assert not data.pairs


def test_a_text_over_several_lines_of_a_csv_is_one(tmp_path: Path) -> None:
    data = read_labelled(write(tmp_path, "d.csv", 'label,text\na,"one\r\ntwo"\nb,three\n'))
    assert data.texts[0].text == "one\r\ntwo"


def test_quotes_in_a_tsv_are_text(tmp_path: Path) -> None:
    data = read_labelled(write(tmp_path, "d.tsv", 'label\ttext\na\t"open\nb\tclose"\n'))
    assert [t.text for t in data.texts] == ['"open', 'close"']


def test_parquet_is_read(tmp_path: Path) -> None:
    path = write_parquet(tmp_path, label=[10, 9, 10], text=["one", "two", "three"])
    data = read_labelled(path)
    assert data.label_names == ("9", "10"), "numbers are in the order of numbers"
    assert data.labels.tolist() == [1, 0, 1]


def test_whole_numbers_with_gaps_are_still_whole_numbers(tmp_path: Path) -> None:
    path = write_parquet(tmp_path, label=[1.0, 2.0], text=["one", "two"])
    assert read_labelled(path).label_names == ("1", "2")
    path = write_parquet(tmp_path, label=[1.0, 2.0, float("nan")], text=["one", "two", "three"])
    with pytest.raises(DataError, match="row 3: the label is empty"):
        read_labelled(path)


def test_class_names_of_a_parquet_file_are_its_labels(tmp_path: Path, tickets) -> None:
    tickets.to_parquet(tmp_path / "d.parquet")
    data = read_labelled(tmp_path / "d.parquet", rename={"a": "A"})
    assert data.label_names == ("z", "A"), "in the dataset's order, without those that never occur"
    assert data.labels.tolist() == [1, 0, 1]


def test_class_names_that_are_not_those_of_the_rows_do_not_count(tmp_path: Path, tickets) -> None:
    tickets.to_parquet(tmp_path / "old.parquet")
    table = parquet.read_table(tmp_path / "old.parquet")
    written = table.set_column(1, "label", pyarrow.array(["yes", "no", "yes"]))
    parquet.write_table(
        written.replace_schema_metadata(table.schema.metadata), tmp_path / "d.parquet"
    )
    assert read_labelled(tmp_path / "d.parquet").label_names == ("no", "yes")


@pytest.mark.parametrize("odd", ["--1", "9" * 5000])
def test_labels_that_only_look_like_numbers_are_names(tmp_path: Path, odd: str) -> None:
    path = write(tmp_path, "d.tsv", f"label\ttext\n{odd}\tone\n1\ttwo\n")
    assert set(read_labelled(path).label_names) == {odd, "1"}


def test_a_folder_of_the_datasets_library_is_read(tmp_path: Path, tickets) -> None:
    tickets.save_to_disk(tmp_path / "one")
    assert read_labelled(tmp_path / "one").label_names == ("z", "a")
    both = datasets.DatasetDict(train=tickets, test=tickets.select([0, 1]))
    both.save_to_disk(tmp_path / "both")
    assert read_labelled(str(tmp_path / "both")).rows == 3
    assert read_labelled(f"{tmp_path / 'both'}@test").rows == 2


def test_a_folder_of_data_files_is_read_by_the_datasets_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "files").mkdir()
    write(tmp_path / "files", "train.csv", "label,text\na,one\nb,two\n")
    assert read_labelled(str(tmp_path / "files")).label_names == ("a", "b")


def test_a_label_that_is_not_known_in_a_dataset_is_an_empty_one(tmp_path: Path, tickets) -> None:
    hidden = tickets.map(lambda row: {"label": -1 if row["text"] == "two" else row["label"]})
    hidden.save_to_disk(tmp_path / "one")
    with pytest.raises(DataError, match="row 2: the label is empty"):
        read_labelled(tmp_path / "one")


def test_the_name_of_a_dataset_is_taken_apart() -> None:
    assert parse("fancyzhx/ag_news") == Name("fancyzhx/ag_news", None, "train")
    assert parse("nyu-mll/glue:sst2") == Name("nyu-mll/glue", "sst2", "train")
    assert parse("nyu-mll/glue:sst2@validation") == Name("nyu-mll/glue", "sst2", "validation")
    assert source_name("nyu-mll/glue:sst2") == "nyu-mll/glue:sst2"
    assert source_name(Path("some/where/reviews.tsv")) == "reviews.tsv"


def test_a_name_that_is_neither_file_nor_dataset_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        DataError, match=r"no/such: is no file here, and cannot be had as a dataset"
    ):
        read_labelled("no/such")


@pytest.mark.parametrize(("source", "missing"), [("some/name", "datasets"), (None, "pyarrow")])
def test_a_missing_library_comes_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str | None, missing: str
) -> None:
    path = source or write_parquet(tmp_path, label=["a", "b"], text=["one", "two"])
    for module in [name for name in sys.modules if name.split(".")[0] == missing]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(DataError, match=rf"{missing}.*pip install -e '\.\[train\]'"):
        read_labelled(path)


@pytest.mark.parametrize(
    ("header", "texts"),
    [
        ("label\ttext_a\ttext_b", ("q", "r")),
        ("label\tquestion\tsentence", ("q", "r")),
        ("Premise\tHypothesis\tlabel", ("x", "q")),
    ],
)
def test_pairs_are_found_by_their_usual_columns(
    tmp_path: Path, header: str, texts: tuple[str, str]
) -> None:
    data = read_labelled(write(tmp_path, "d.tsv", f"{header}\nx\tq\tr\ny\tq\ts\n"))
    assert data.pairs
    assert data.texts[0] == Text(*texts)


def test_one_column_of_a_pair_can_be_asked_for_alone(tmp_path: Path) -> None:
    path = write(tmp_path, "d.tsv", "label\tpremise\thypothesis\nx\tq\tr\ny\tu\ts\n")
    assert read_labelled(path, Columns(text="hypothesis")).texts == (Text("r"), Text("s"))
    both = read_labelled(path, Columns(text="hypothesis", pair="premise"))
    assert both.texts == (Text("r", "q"), Text("s", "u"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("score\ttext\n1\tgood\n", "no label column 'label' or 'class' or 'target'"),
        ("score\ttext\n1\tgood\n", "the columns are 'score', 'text'"),
        ("label\tbody\n1\tgood\n", "name one with --text-column"),
        (
            "1\tgood " + "and " * 30 + "long\n0\tbad\n",
            "'good and and and and and and and and and…'",
        ),
        ("label\ttext\n1\tgood\n0\t \n", "line 3: the text is empty"),
        ("label\ttext\n\tgood\n", "line 2: the label is empty"),
        ("label\ttext\n1\tgood\n1\tfine\n", "needs at least two labels to learn, it has ['1']"),
        ("label\ttext\n", "has no rows"),
        ("", "has no rows"),
        ("label\ttext\n1\tgood\tvery\n0\tbad\n", "line 2: has 3 fields, the first line names 2"),
    ],
)
def test_a_file_that_cannot_be_trained_on_says_why(
    tmp_path: Path, content: str, message: str
) -> None:
    with pytest.raises(DataError) as caught:
        read_labelled(write(tmp_path, "d.tsv", content))
    assert message in str(caught.value)


def test_all_faults_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    rows = ["1\t" if i % 2 else "\tgood" for i in range(20)] + ["1\tgood", "0\tbad"]
    with pytest.raises(DataError) as caught:
        read_labelled(write(tmp_path, "d.tsv", "\n".join(["label\ttext", *rows])))
    labels, texts = str(caught.value).splitlines()
    assert "lines 2, 4, 6, 8, 10 and 5 more: the label is empty" in labels
    assert "lines 3, 5, 7, 9, 11 and 5 more: the text is empty" in texts


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"label": 1, "text": "a"}\n{label: 2}\n', "line 2: is not JSON"),
        ('{"label": 1, "text": "a"}\n[1, "b"]\n', "line 2: is no JSON object"),
        (
            '{"label": 1, "text": "a"}\n{"label": 2, "text": 7}\n',
            "line 2: the text is no text (int)",
        ),
        ('{"label": 1, "text": "a"}\n{"label": [2], "text": "b"}\n', "neither a name nor a whole"),
        ('{"label": 1, "text": "a"}\n{"label": 0.5, "text": "b"}\n', "neither a name nor a whole"),
        ('{"label": 1, "text": "a"}\n{"label": null, "text": "b"}\n', "line 2: the label is empty"),
    ],
)
def test_faults_of_json_lines_name_the_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_labelled(write(tmp_path, "d.jsonl", content))
    assert message in str(caught.value)


def test_a_quote_left_open_is_told_with_the_line_where_it_may_be(tmp_path: Path) -> None:
    content = 'label,text\na,one\nb,"two\n' + "c,three\n" * 30_000
    with pytest.raises(DataError, match=r"line 3: .*is a quote left open there"):
        read_labelled(write(tmp_path, "d.csv", content))


@pytest.mark.parametrize("last", ['b,"two\n', 'b,"two\nc,three\n', 'b,"the "best" one"\n'])
def test_a_quote_left_open_never_swallows_the_rows_behind_it(tmp_path: Path, last: str) -> None:
    with pytest.raises(DataError, match=r"line 3: .*is a quote left open there"):
        read_labelled(write(tmp_path, "d.csv", f"label,text\na,one\n{last}"))


@pytest.mark.parametrize(("name", "mark"), [("d.tsv", "\t"), ("d.csv", ",")])
def test_a_text_may_be_as_long_as_a_book(tmp_path: Path, name: str, mark: str) -> None:
    book = "word " * 60_000
    content = f"label{mark}text\na{mark}{book}\nb{mark}short\n"
    assert read_labelled(write(tmp_path, name, content)).texts[0].text == book


def test_two_columns_of_one_name_are_told(tmp_path: Path) -> None:
    path = write(tmp_path, "d.tsv", "label\ttext\ttext\tnote\tnote\na\tone\t1\t\t\nb\ttwo\t2\t\t\n")
    with pytest.raises(DataError, match="2 columns are called 'text'; rename all but one"):
        read_labelled(path)
    pairs = "label\tsentence1\tsentence2\tsentence2\na\t1\t2\t3\nb\t4\t5\t6\n"
    with pytest.raises(DataError, match="2 columns are called 'sentence2'"):
        read_labelled(write(tmp_path, "p.tsv", pairs))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"label": 1, "text": "a"}]\n', "line 1: is no JSON object; write one per line"),
        ('{"label": 1,\n"text": "a"}\n', "line 1: is not JSON"),
        (
            '{"label": 1, "text": "a"}\n{"label": 0, "text": "b \\ud83d"}\n',
            r"line 2: holds half of a character",
        ),
    ],
)
def test_json_that_is_no_lines_of_texts_says_what_is_wrong(
    tmp_path: Path, content: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_labelled(write(tmp_path, "d.jsonl", content))


def test_columns_of_json_lines_are_the_keys_of_all_objects(tmp_path: Path) -> None:
    content = (
        '{"id": 1, "text": "one"}\n{"text": "two", "label": "b"}\n'
        '{"label": "a", "text": "three"}\n{"text": "four", "label": null}\n'
    )
    path = write(tmp_path, "d.jsonl", content)
    assert open_json_lines(path).columns == ("id", "text", "label")
    with pytest.raises(DataError, match="lines 1, 4: the label is empty"):
        read_labelled(path)


def test_characters_that_json_escapes_in_two_halves_are_whole(tmp_path: Path) -> None:
    content = '{"label": 1, "text": "a \\ud83d\\ude00"}\n{"label": 0, "text": "b"}'
    assert read_labelled(write(tmp_path, "d.jsonl", content)).texts[0].text == "a \U0001f600"


def test_a_column_of_scores_is_not_taken_for_labels(tmp_path: Path) -> None:
    rows = "".join(f"0.{i}\ttext {i}\n" for i in range(100, 200))
    with pytest.raises(DataError, match="100 labels for 100 rows are no classes"):
        read_labelled(write(tmp_path, "d.tsv", f"label\ttext\n{rows}"))


def test_several_hundred_labels_are_read_with_their_names(tmp_path: Path) -> None:
    rows = "".join(f"intent {i % 300:03d}\ttext {i}\n" for i in range(900))
    data = read_labelled(write(tmp_path, "d.tsv", f"label\ttext\n{rows}"))
    assert data.label_names == tuple(f"intent {i:03d}" for i in range(300))
    assert data.labels.tolist() == [i % 300 for i in range(900)]


def test_a_new_name_for_a_label_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, "d.tsv", "label\ttext\n1\tgood\n0\tbad\n")
    with pytest.raises(DataError, match=r"--rename 2=neutral names no label .* '0', '1'"):
        read_labelled(path, rename={"2": "neutral"})


def test_a_named_column_that_is_missing_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "d.tsv", "label\ttext\n1\tgood\n0\tbad\n")
    with pytest.raises(DataError, match="no text column 'body'; the columns are"):
        read_labelled(path, Columns(text="body"))


def test_labels_that_a_bundle_does_not_know_are_named_with_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "d.tsv", "label\ttext\n1\tgood\n2\tbad\n2\tworse\n")
    with pytest.raises(DataError, match="lines 3, 4: label '2' is not one of '0', '1'"):
        read_labelled(path, label_names=("0", "1"))


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_labelled(tmp_path / "none.tsv")
    with pytest.raises(DataError, match="unknown kind of file; use"):
        read_labelled(write(tmp_path, "d.xls", "label\ttext\n"))
    message = r"is not UTF-8 \(line 2 holds byte 0xfc\); save it as UTF-8"
    for name in ("d.tsv", "d.jsonl"):
        with pytest.raises(DataError, match=message):
            read_labelled(write(tmp_path, name, "label\ttext\n1\tgrün\n", "latin-1"))
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_labelled(write(tmp_path, "d.parquet", "label\ttext\n"))


def test_unlabelled_texts_come_from_lines_or_from_any_table(tmp_path: Path) -> None:
    lines = write(tmp_path, "d.txt", "one\r\n\r\ntwo\r\none\r\n")
    table = write(tmp_path, "d.jsonl", '{"text": "one"}\n{"text": ""}\n{"text": "two"}\n')
    assert read_unlabelled(lines) == read_unlabelled(table) == (Text("one"), Text("two"))


def test_unlabelled_rows_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2: is not JSON"):
        read_unlabelled(write(tmp_path, "d.jsonl", '{"text": "one"}\nrubbish\n'))
    with pytest.raises(DataError, match="line 3: has 2 fields, the first line names 1"):
        read_unlabelled(write(tmp_path, "d.csv", "text\none\ntwo, three\n"))
    content = "text\n" + "one more line\n" * 1000 + "grün\n"
    for name in ("late.csv", "late.txt"):
        with pytest.raises(DataError, match="line 1002 holds byte 0xfc"):
            read_unlabelled(write(tmp_path, name, content, "latin-1"))


def test_unlabelled_texts_must_be_of_the_kind_of_the_labelled_ones(tmp_path: Path) -> None:
    path = write(tmp_path, "d.tsv", "text_a\ttext_b\none\ttwo\n")
    assert read_unlabelled(path, pairs=True) == (Text("one", "two"),)
    with pytest.raises(DataError, match="holds pairs of texts, the labelled data single texts"):
        read_unlabelled(path)
    with pytest.raises(DataError, match="holds no text"):
        read_unlabelled(write(tmp_path, "empty.txt", "\n \n"))
