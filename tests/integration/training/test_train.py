"""Training from file to bundle: what comes out serves, reproduces, and never appears half."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
)

from offramp.bundle import read_evidence, read_manifest, verify_tier
from offramp.errors import OfframpError
from services.models.files import EXPORTED
from services.models.loading import load_tier
from tests.support import tiny
from training import assemble, calibrate, quantise, target, train
from training.backbone import BackboneError
from training.batches import encode
from training.data import Columns, DataError, Text, read_labelled
from training.evaluate import EvaluateSettings, run
from training.large import score
from training.settings import LargeSettings, SmallSettings, TrainSettings

SHORT = {
    "limit": 600,
    "small": SmallSettings(kind="static", epochs=1, augment=1, embedding=8, width=8),
}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_backbone(tmp_path_factory.mktemp("backbone"))


def test_the_bundle_learned_its_task_and_knows_how_sure_it_is(tiny_bundle: Path) -> None:
    metrics = json.loads((tiny_bundle / "metrics.json").read_text())["evidence"]
    by_name = {e["name"]: e for e in metrics["exits"]}
    assert by_name["large@3"]["accuracy"] > 0.8
    assert by_name["large@3"]["ece"] < 0.15
    card = (tiny_bundle / "README.md").read_text()
    assert "one of\n2 labels out (`negative`, `positive`)" in card
    assert read_manifest(tiny_bundle).id in card


def test_evidence_is_what_the_stored_models_say(tiny_bundle: Path) -> None:
    manifest = read_manifest(tiny_bundle)
    evidence = read_evidence(tiny_bundle, manifest)
    data = read_labelled(tiny.REVIEWS, rename=tiny.RENAME)
    tiers = [load_tier(tiny_bundle, tier.name) for tier in manifest.tiers]
    logits, tokens = calibrate.cascade_logits(tiers, data)
    for place in range(0, len(evidence.labels), 20):
        distance = np.abs(logits - evidence.logits[:, place : place + 1]).max(axis=(0, 2))
        row = int(distance.argmin())
        assert distance[row] < 1e-4
        assert (data.labels[row], tokens[row]) == (evidence.labels[place], evidence.tokens[place])


def test_the_same_seed_gives_the_same_bundle(tmp_path: Path, backbone: Path) -> None:
    short = {
        "limit": 600,
        "large": LargeSettings(backbone=str(backbone), exits=(1, 3), epochs=1),
        "small": SmallSettings(kind="conv", epochs=1, augment=1, embedding=8, width=8),
    }
    ids = [
        read_manifest(train.run(tiny.settings(tmp_path / name, backbone, **short))).id
        for name in ("first", "second")
    ]
    assert ids[0] == ids[1]


def test_a_run_that_fails_leaves_its_checkpoint_and_no_half_of_a_bundle(
    tmp_path: Path, backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(calibrate, "write_evidence", fail)
    short = {
        "limit": 600,
        "large": LargeSettings(backbone=str(backbone), exits=(1, 3), epochs=1),
        "small": SmallSettings(kind="conv", epochs=1, augment=1, embedding=8, width=8),
    }
    with pytest.raises(OSError, match="disk full"):
        train.run(tiny.settings(tmp_path / "bundles" / "out", backbone, **short))
    assert [path.name for path in (tmp_path / "bundles").iterdir()] == ["out.partial"]


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"limit": 60}, OfframpError, "at least 137 are needed to calibrate"),
        ({"columns": Columns(label="stars")}, DataError, "no label column 'stars'"),
        (
            {"large": LargeSettings(backbone="no/such-model")},
            BackboneError,
            "neither a folder here nor a name that was found",
        ),
    ],
)
def test_what_cannot_work_is_said_before_anything_long(
    tmp_path: Path, backbone: Path, changes: dict, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        train.run(tiny.settings(tmp_path / "out", backbone, **changes))


def test_an_existing_target_is_never_overwritten(tmp_path: Path, backbone: Path) -> None:
    with pytest.raises(target.OutputError, match="exists already"):
        train.run(tiny.settings(tmp_path, backbone))


def test_a_bundle_names_no_folder_of_the_machine_that_made_it(tmp_path: Path) -> None:
    backbone = tiny.make_backbone(tmp_path / "backbone")
    classifier = make_classifier(tmp_path / "classifier", {0: "positive", 1: "negative"})
    short = {"limit": 600, "small": SmallSettings(classifier=str(classifier))}
    bundle = train.run(tiny.settings(tmp_path / "out", backbone, **short))
    record = json.loads((bundle / "training.json").read_text())
    assert record["large"]["backbone"] == record["backbone"] == "backbone"
    assert record["small"]["classifier"] == "classifier"
    texts = (path.read_bytes() for path in bundle.rglob("*") if path.is_file())
    assert not any(str(tmp_path).encode() in text for text in texts)


def test_what_a_killed_run_left_unfinished_goes_when_the_bundle_is_written(
    tmp_path: Path, backbone: Path
) -> None:
    unfinished = tmp_path / ".out.unfinished"
    (unfinished / "large").mkdir(parents=True)
    (unfinished / "large" / "stale.json").write_text("{}")
    out = train.run(tiny.settings(tmp_path / "out", backbone, **SHORT))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not (out / "large" / "stale.json").exists()


def test_what_came_to_stand_at_the_target_meanwhile_is_left_alone(
    tmp_path: Path, backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = assemble.write

    def late(settings: TrainSettings, *arguments: object) -> Path:
        settings.out.mkdir()
        return write(settings, *arguments)

    monkeypatch.setattr(assemble, "write", late)
    with pytest.raises(target.OutputError, match="exists already"):
        train.run(tiny.settings(tmp_path / "out", backbone, **SHORT))
    assert list((tmp_path / "out").iterdir()) == []
    assert (tmp_path / "out.partial").exists(), "removed and run again, nothing is trained anew"


def test_evaluation_agrees_with_scoring_by_hand(tiny_bundle: Path) -> None:
    found = run(EvaluateSettings(tiny_bundle, tiny.REVIEWS, Columns()))
    data = read_labelled(tiny.REVIEWS, rename=tiny.RENAME)
    large = load_tier(tiny_bundle, "large")
    logits = score(large.network, encode(large.tokenizer, data.texts, 48), "by hand")[-1]
    by_hand = float((logits.argmax(axis=1) == data.labels).mean())
    assert found.full_accuracy == pytest.approx(by_hand)
    costs = [point.mean_cost for point in found.dial]
    assert costs == sorted(costs, reverse=True)


def test_a_file_of_pairs_is_refused_by_a_bundle_of_single_texts(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("label\ttext_a\ttext_b\n0\tone\ttwo\n1\tthree\tfour\n")
    with pytest.raises(OfframpError, match="holds pairs, bundle 'reviews' classifies single"):
        run(EvaluateSettings(tiny_bundle, path, Columns()))


def test_a_finished_classifier_serves_as_small_tier(tmp_path: Path, backbone: Path) -> None:
    folder = make_classifier(tmp_path / "classifier", {0: "POSITIVE", 1: "NEGATIVE"})
    short = {
        "limit": 600,
        "large": LargeSettings(backbone=str(backbone), exits=(1, 3), epochs=1),
        "small": SmallSettings(classifier=str(folder)),
        "precision": "fp32",
    }
    bundle = train.run(tiny.settings(tmp_path / "out", backbone, **short))
    tier = load_tier(bundle, "small")
    assert tier.spec.kind == "sequence_classifier"
    encoded = encode(tier.tokenizer, [Text("a dreadful film")], 48)
    served = score(tier.network, encoded, "small")[0, 0]
    own = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        logits = own(**tier.tokenizer("a dreadful film", return_tensors="pt")).logits[0]
    # The data's labels are negative, positive; the classifier has them the other way round.
    assert served == pytest.approx(logits.numpy()[::-1], abs=1e-5)


def test_a_classifier_of_other_labels_is_refused(tmp_path: Path, backbone: Path) -> None:
    folder = make_classifier(tmp_path / "classifier", {0: "good", 1: "bad"})
    settings = tiny.settings(
        tmp_path / "out", backbone, small=SmallSettings(classifier=str(folder))
    )
    with pytest.raises(BackboneError, match="give the labels of the data the same names with"):
        train.run(settings)


def make_classifier(folder: Path, labels: dict[int, str]) -> Path:
    """A Hugging Face classifier with random weights, as somebody else's training would leave it."""
    tokenizer = tiny.make_tokenizer()
    tokenizer.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        id2label=labels,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_pairs_train_too(tmp_path: Path, backbone: Path) -> None:
    rows = [line.split("\t") for line in tiny.REVIEWS.read_text().splitlines()[1:500]]
    path = tmp_path / "pairs.tsv"
    lines = [f"{label}\t{text}\tis it good {i} ?" for i, (label, text) in enumerate(rows)]
    path.write_text("\n".join(["label\tpremise\thypothesis", *lines]) + "\n")
    settings = tiny.settings(
        tmp_path / "out",
        backbone,
        data=path,
        large=LargeSettings(backbone=str(backbone), exits=(1, 3), epochs=1),
        small=SmallSettings(kind="conv", epochs=1, augment=1, embedding=8, width=8),
    )
    manifest = read_manifest(train.run(settings))
    assert manifest.pairs


def test_a_bundle_has_evidence_in_int8_from_the_start_where_it_was_asked_for(
    backbone: Path, tmp_path: Path
) -> None:
    # Not SHORT: whoever hardly learned guesses, and int8 guesses something else.
    bundle = train.run(tiny.settings(tmp_path / "b", backbone, serve_in=("int8",)))
    manifest = read_manifest(bundle)
    for tier in manifest.tiers:
        assert list(tier.readouts) == ["fp32", "int8"]
        assert f"{tier.name}/{EXPORTED['int8']}/stage0.xml" in manifest.files
        verify_tier(bundle, manifest, tier.name)
    in_int8 = dict.fromkeys(("small", "large"), "int8")
    assert read_evidence(bundle, manifest, in_int8).logits.any()


def test_what_loses_too_much_in_int8_is_a_bundle_all_the_same(
    backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    def loses(tier, *_, **__):
        (tmp_path / ".b.unfinished" / tier.spec.name / EXPORTED["int8"]).mkdir()
        raise quantise.QuantisationError(tier.spec.name, "in int8 exit small loses 9 points")

    monkeypatch.setattr(quantise, "quantised", loses)
    bundle = train.run(tiny.settings(tmp_path / "b", backbone, serve_in=("int8",), **SHORT))
    manifest = read_manifest(bundle)
    for tier in manifest.tiers:
        assert list(tier.readouts) == ["fp32"]
        verify_tier(bundle, manifest, tier.name)
        assert not (bundle / tier.name / EXPORTED["int8"]).exists()
    assert "not in int8: in int8 exit" in capfd.readouterr().err
