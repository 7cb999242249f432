"""What is known, and what is refused, before anything long begins."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import MPNetConfig, MPNetModel

from offramp.errors import OfframpError
from tests.support import tiny
from training.backbone import BackboneError
from training.data import DataError
from training.device import DeviceError
from training.parting import TooFewToCalibrateError
from training.prepare import Prepared, prepare
from training.recipes import RecipeError
from training.settings import LargeSettings, SmallSettings, TrainSettings
from training.students import pool
from training.target import OutputError


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_backbone(tmp_path_factory.mktemp("backbone"))


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("".join(f"{a}\t{b}\n" for a, b in [("label", "text"), *rows]))
    return path


def reviews(first: int, last: int) -> list[tuple[str, str]]:
    lines = tiny.REVIEWS.read_text().splitlines()[1:][first:last]
    return [(label, text) for label, text in (line.split("\t") for line in lines)]


@pytest.fixture
def settings(tmp_path: Path, backbone: Path):
    """Settings of a run over some rows (all the reviews without them)."""

    def of(rows: list[tuple[str, str]] | None = None, **changes: object) -> TrainSettings:
        if rows is not None:
            changes = {"data": write(tmp_path / "d.tsv", rows), "rename": {}, **changes}
        return tiny.settings(tmp_path / "out", backbone, **changes)

    return of


def texts(part) -> set[str]:
    return {text.text for text in part.texts}


def sides(prepared: Prepared) -> tuple[int, int]:
    return len(prepared.parts.fit), len(prepared.parts.held_out)


def test_little_data_holds_out_what_calibration_needs(settings, capsys) -> None:
    fit, held_out = sides(prepare(settings(reviews(0, 400), hold_out=None)))
    assert held_out >= 137
    assert fit > 200
    assert "few texts: 39% of them are held out, for calibration" in capsys.readouterr().err


def test_too_little_data_says_how_much_would_do(settings) -> None:
    with pytest.raises(TooFewToCalibrateError, match="at least 137 are needed to calibrate"):
        prepare(settings(reviews(0, 100), hold_out=None))
    with pytest.raises(TooFewToCalibrateError, match=r"3\d texts are held out.*--hold-out"):
        prepare(settings(reviews(0, 400), hold_out=0.1))


def test_a_validation_file_is_the_held_out_part_and_leaves_training(
    settings, tmp_path, capsys
) -> None:
    validation = write(tmp_path / "v.tsv", reviews(300, 500))
    prepared = prepare(settings(reviews(0, 400), validation=validation, hold_out=None))
    fit, held_out = sides(prepared)
    assert held_out == 200
    assert 250 < fit <= 300
    assert texts(prepared.parts.fit).isdisjoint(texts(prepared.parts.held_out))
    assert f"{400 - fit} training texts stand in the validation file too" in capsys.readouterr().err


def test_a_validation_file_with_a_label_of_its_own_is_refused(settings, tmp_path) -> None:
    validation = write(tmp_path / "v.tsv", [*reviews(300, 500), ("2", "so so")])
    with pytest.raises(DataError, match=r"v.tsv, line 202: label '2' is not one of '0', '1'"):
        prepare(settings(reviews(0, 300), validation=validation, hold_out=None))


def test_a_validation_file_of_pairs_does_not_fit_single_texts(settings, tmp_path) -> None:
    validation = tmp_path / "v.tsv"
    validation.write_text("label\ttext_a\ttext_b\n0\tone\ttwo\n1\tthree\tfour\n")
    with pytest.raises(DataError, match=r"v\.tsv: holds pairs of texts, .* holds single texts"):
        prepare(settings(reviews(0, 300), validation=validation, hold_out=None))


def test_a_label_that_only_the_validation_file_would_have_is_refused(settings, tmp_path) -> None:
    rows = reviews(300, 500)
    validation = write(tmp_path / "v.tsv", [*rows, ("rare", "a rare text")])
    data = [*reviews(0, 300), ("rare", "a rare text")]
    with pytest.raises(DataError, match="the training part has no example of: 'rare'"):
        prepare(settings(data, validation=validation, hold_out=None))


def test_a_label_that_the_held_out_part_lacks_is_told(settings, capsys) -> None:
    prepared = prepare(settings([*reviews(0, 600), ("rare", "a text that is alone")]))
    assert "rare" in prepared.parts.fit.label_names
    assert "no held-out example of: 'rare'" in capsys.readouterr().err


def test_pairs_that_hang_together_are_told(settings, tmp_path, capsys) -> None:
    pairs = [(f"question {i // 2}", f"answer {(i + 1) // 2 % 400}") for i in range(800)]
    rows = "".join(f"{i % 2}\t{one}\t{other}\n" for i, (one, other) in enumerate(pairs))
    (tmp_path / "pairs.tsv").write_text(f"label\ttext\ttext_pair\n{rows}")
    prepare(settings(data=tmp_path / "pairs.tsv", rename={}))
    assert "share a text with a pair that is trained on" in capsys.readouterr().err


def test_unlabelled_texts_are_new_ones(settings, tmp_path, capsys) -> None:
    known = [text for _, text in reviews(0, 600)]
    unlabelled = tmp_path / "more.txt"
    unlabelled.write_text("\n".join([*known, "A new one", "another new one", "a new one"]))
    prepared = prepare(settings(reviews(0, 600), unlabelled=unlabelled))
    assert [text.text for text in prepared.unlabelled] == [
        "A new one",
        "another new one",
        "a new one",
    ]
    assert "600 more stand in the labelled data and are left out" in capsys.readouterr().err


def test_unlabelled_texts_that_no_student_has_room_for_are_told(
    settings, tmp_path, capsys, monkeypatch
) -> None:
    unlabelled = tmp_path / "more.txt"
    unlabelled.write_text("A new one\nanother new one\n")
    made = settings(reviews(0, 600), unlabelled=unlabelled)
    fit = prepare(made).parts.fit
    assert "students learn from" not in capsys.readouterr().err
    for room, said in ((1, "1"), (0, "none"), (-5, "none")):
        monkeypatch.setattr(pool, "MOST_ANSWERS", 2 * (len(fit) + room))
        assert len(prepare(made).unlabelled) == 2
        found = capsys.readouterr().err
        assert f"students learn from {said} of the 2 unlabelled texts: with 2 labels" in found


def test_rare_labels_weigh_more_where_that_is_asked_for(settings) -> None:
    rows = [row for row in reviews(0, 900) if row[0] == "1"]
    rows += [row for row in reviews(0, 900) if row[0] == "0"][:60]
    fit = prepare(settings(rows, balance="weights")).parts.fit
    assert fit.class_weights is not None
    assert fit.class_weights[0] > 4 * fit.class_weights[1]
    assert fit.aims.sum() == pytest.approx(len(fit), rel=1e-4)
    assert prepare(settings(rows)).parts.fit.class_weights is None


def test_the_limit_on_tokens_is_chosen_from_the_texts(settings) -> None:
    prepared = prepare(settings(max_tokens=0))
    assert 0 < prepared.settings.max_tokens <= 64, "the backbone has 64 positions"
    assert prepared.settings.max_tokens % 16 == 0
    assert "texts are cut at" in prepared.summary


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"max_tokens": 65}, OfframpError, "--max-tokens 65: the models take at most 64 tokens"),
        ({"device": "tpu"}, DeviceError, "device 'tpu' is not known"),
        ({"large": {"exits": (1, 4)}}, RecipeError, r"exits must lie in 1\.\.3"),
        ({"large": {"recipe": "sour"}}, RecipeError, "sour"),
        ({"data": "no/such-file.tsv"}, DataError, "cannot be read"),
        ({"validation": "v.tsv"}, DataError, "--hold-out and --validation: give one of the two"),
        ({"unlabelled": "no/such-file.txt"}, DataError, "cannot be read"),
    ],
)
def test_what_cannot_work_is_refused(settings, backbone, changes, kind, message) -> None:
    if "large" in changes:
        changes = {"large": LargeSettings(backbone=str(backbone), **changes["large"])}
    with pytest.raises(kind, match=message):
        prepare(settings(**changes))


def test_half_labelled_texts_are_never_held_out(settings) -> None:
    twice = reviews(0, 40)
    rows = [*reviews(0, 900), *((str(1 - int(label)), text) for label, text in twice)]
    prepared = prepare(settings(rows))
    assert texts(prepared.parts.held_out).isdisjoint({text for _, text in twice})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"out": "file/out"}, r"file is no folder; choose another --out"),
        ({"report": "file/page.html"}, r"file is no folder; choose another --report"),
        ({"checkpoint": "out"}, r"--checkpoint .* lies in --out .*; name another folder"),
        ({"checkpoint": "out/kept"}, r"--checkpoint .* lies in --out .*; name another folder"),
        ({"report": "folder"}, r"folder is a folder; name a file with --report"),
        ({"name": "my reviews"}, r"no route can be called 'my reviews'; .*: give --name"),
    ],
)
def test_where_nothing_can_be_written_or_served_is_said_first(
    settings, tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    paths = {key: tmp_path / value for key, value in changes.items() if key != "name"}
    with pytest.raises(OutputError, match=message):
        prepare(replace(settings(), **{**changes, **paths}))


def test_a_folder_that_may_not_be_written_in_is_said_first(
    settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(OutputError, match=r"nothing may be written in .*; choose another --out"):
        prepare(replace(settings(), out=tmp_path / "new" / "out"))


@pytest.mark.parametrize("keep", ["auto", (0.5,)])
def test_a_backbone_that_sees_where_tokens_stand_keeps_all_of_them(
    settings, backbone: Path, tmp_path: Path, keep: str | tuple[float, ...]
) -> None:
    folder = shutil.copytree(backbone, tmp_path / "mpnet")
    MPNetModel(
        MPNetConfig(vocab_size=400, hidden_size=16, num_hidden_layers=2, num_attention_heads=2)
    ).save_pretrained(folder)
    large = LargeSettings(backbone=str(folder), exits=(1, 2), keep=keep)
    with pytest.raises(RecipeError, match="sees where tokens stand: it must keep all of them"):
        prepare(settings(large=large))


@pytest.mark.parametrize("tier", ["large", "small"])
def test_a_tokenizer_that_cannot_be_served_is_said_first(
    settings, backbone: Path, tmp_path: Path, tier: str
) -> None:
    slow = shutil.copytree(backbone, tmp_path / "slow")
    for path in slow.glob("tokenizer*"):
        path.unlink()
    (slow / "vocab.txt").write_text("film 4\n")
    (slow / "bpe.codes").write_text("f i 3\n")
    (slow / "tokenizer_config.json").write_text('{"tokenizer_class": "PhobertTokenizer"}')
    config = json.loads((slow / "config.json").read_text())
    config["id2label"] = {0: "negative", 1: "positive"}
    (slow / "config.json").write_text(json.dumps(config))
    chosen = {
        "large": {"large": LargeSettings(backbone=str(slow))},
        "small": {"small": SmallSettings(classifier=str(slow))},
    }
    with pytest.raises(BackboneError, match="PhobertTokenizer, has no fast form"):
        prepare(settings(**chosen[tier]))
