"""scripts/sentences: the sentences of a table's texts, as SST-2 writes them, each once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "sentences"


@pytest.fixture
def printed(tmp_path: Path):
    """What the script prints of a table with these texts, line by line."""

    def of(*texts: str) -> list[str]:
        table = tmp_path / "reviews.tsv"
        rows = (f"{number}\t{text}\t1" for number, text in enumerate(texts))
        table.write_text("\n".join(["id\ttext\tlabel", *rows]) + "\n", encoding="utf-8")
        done = subprocess.run(
            [sys.executable, SCRIPT, table], check=True, capture_output=True, encoding="utf-8"
        )
        return done.stdout.splitlines()

    return of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A fine film.", ["a fine film ."]),
        ("It's good, isn't it? I can't say.", ["i ca n't say .", "it 's good , is n't it ?"]),
        ("They'll (mostly) cheer; I'd too!", ["they 'll ( mostly ) cheer ; i 'd too !"]),
        ("No stop here<br /><br />But a break", ["but a break", "no stop here"]),
        ('"Go on," he said. "No way out!"', ['" go on , " he said .', '" no way out ! "']),
        ("Ça   va  très bien", ["ça va très bien"]),
    ],
)
def test_a_sentence_is_written_as_sst2_writes_it(printed, text, expected) -> None:
    assert sorted(printed(text)) == expected


def test_a_sentence_of_fewer_than_3_words_or_more_than_50_is_left_out(printed) -> None:
    sentences = [" ".join(["word"] * count) for count in (2, 3, 50, 51)]
    assert sorted(printed(*sentences)) == sentences[1:3]


def test_a_sentence_of_several_texts_is_printed_once(printed) -> None:
    found = printed("A fine film. Go and see it.", "GO AND SEE IT.", "A fine  film.")
    assert sorted(found) == ["a fine film .", "go and see it ."]


def test_the_order_is_another_than_that_of_the_texts_and_the_same_every_time(printed) -> None:
    texts = [f"sentence number {number}" for number in range(50)]
    found = printed(*texts)
    assert sorted(found) == sorted(texts)
    assert found != texts
    assert printed(*texts) == found
