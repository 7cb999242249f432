"""A new small tier for the large tier of a finished bundle."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from offramp.bundle import content_id, read_manifest, tier_files, write_manifest
from offramp.errors import BundleError
from services.models.files import WEIGHTS
from services.models.loading import load_tier
from services.models.storage import save_weights
from tests.support import tiny
from training import large, train
from training.finished import FinishedError
from training.prepare import prepare
from training.settings import LargeSettings, SmallSettings

SMALL = SmallSettings(kind="static", epochs=1, augment=1, embedding=8, width=8)


def taking(bundle: Path, out: Path, **changes: object):
    """Settings of a run that takes the large tier of a bundle."""
    changes = {"small": SMALL, "max_tokens": 0, **changes}
    found = tiny.settings(out, Path("no-backbone"), **changes)
    return replace(found, large=LargeSettings(bundle=bundle))


def storing(bundle: Path, folder: Path, precision: str) -> Path:
    """A copy of a bundle whose large tier, with other weights, is stored in a precision."""
    shutil.copytree(bundle, folder)
    network = load_tier(folder, "large").network
    with torch.no_grad():
        for number in network.parameters():
            number.mul_(1.0 + 0.01 * torch.rand_like(number))
    save_weights(network, folder / "large" / WEIGHTS, precision)
    manifest = read_manifest(folder)
    files = tier_files(folder, manifest.tiers)
    identity = content_id(files, manifest.tiers)
    write_manifest(folder, replace(manifest, files=files, id=identity))
    record = json.loads((folder / "training.json").read_text())
    (folder / "training.json").write_text(json.dumps({**record, "precision": precision}))
    return folder


@pytest.fixture
def unseen(tmp_path: Path) -> Path:
    """Texts that the tiny bundle never saw, nor heard of."""
    rows = (f"{n % 2}\t{'good' if n % 2 else 'bad'} thing number {n}" for n in range(200))
    file = tmp_path / "unseen.tsv"
    file.write_text("\n".join(["label\ttext", *rows]) + "\n")
    return file


@pytest.fixture
def shorter(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A classifier that takes fewer tokens than the tiny bundle's large tier."""
    folder = tmp_path / "shorter"
    tokenizer = AutoTokenizer.from_pretrained(tiny_bundle / "large")
    tokenizer.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=32,
        id2label={0: "negative", 1: "positive"},
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_the_large_tier_stays_to_the_bit_and_the_small_one_is_new(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    bundle = train.run(taking(tiny_bundle, tmp_path / "out"))
    before, after = read_manifest(tiny_bundle), read_manifest(bundle)
    weights = [load_tier(folder, "large").network.state_dict() for folder in (tiny_bundle, bundle)]
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name]), name
    assert [e.name for e in after.tier("large").exits] == [
        e.name for e in before.tier("large").exits
    ]
    assert after.tier("large").max_tokens == before.tier("large").max_tokens
    assert after.tier("small").exits != before.tier("small").exits
    record = json.loads((bundle / "training.json").read_text())
    assert record["large_tier"]["id"] == before.id
    assert record["backbone"] == "backbone"
    assert f"as bundle `reviews` has it, id `{before.id}`" in (bundle / "README.md").read_text()


@pytest.mark.parametrize(("stored", "asked"), [("fp32", "int8"), ("int8", "fp16")])
def test_the_large_tier_stays_as_it_is_stored_whatever_precision_the_small_one_gets(
    tiny_bundle: Path, tmp_path: Path, stored: str, asked: str
) -> None:
    source = storing(tiny_bundle, tmp_path / "source", stored)
    bundle = train.run(taking(source, tmp_path / "out", precision=asked))
    weights = [(folder / "large" / WEIGHTS).read_bytes() for folder in (source, bundle)]
    assert weights[0] == weights[1]
    record = json.loads((bundle / "training.json").read_text())
    assert (record["precision"], record["large_tier"]["precision"]) == (asked, stored)
    kinds = {"fp32": "fp32", "fp16": "fp16", "int8": "matrices as 8-bit integers with one fp32"}
    card = (bundle / "README.md").read_text()
    assert f"those of the small tier {kinds[asked]}" in card
    assert f"those of the large one {kinds[stored]}" in card
    again = train.run(taking(bundle, tmp_path / "again", precision=asked))
    assert (again / "large" / WEIGHTS).read_bytes() == weights[0]
    assert json.loads((again / "training.json").read_text())["large_tier"]["precision"] == stored


def test_texts_that_the_large_tier_may_have_learned_are_not_held_out(
    tiny_bundle: Path, tmp_path: Path, unseen: Path
) -> None:
    with pytest.raises(FinishedError, match=r"may have learned.*--seed.*--validation"):
        prepare(taking(tiny_bundle, tmp_path / "out", seed=1))
    named = taking(tiny_bundle, tmp_path / "out", seed=1, validation=unseen, hold_out=None)
    assert len(prepare(named).parts.held_out) == 200


NONE_TRAINED_ON = "no held-out text, and no fragment of one, was trained on"


def card_of(bundle: Path) -> str:
    """The card, on one line."""
    return " ".join((bundle / "README.md").read_text().split())


def test_the_card_says_that_a_file_was_not_compared_with_what_the_large_tier_learned_from(
    tiny_bundle: Path, tmp_path: Path, unseen: Path
) -> None:
    named = {"validation": unseen, "hold_out": None}
    bundle = train.run(taking(tiny_bundle, tmp_path / "out", **named))
    assert NONE_TRAINED_ON not in card_of(bundle)
    assert "200 held out, of `unseen.tsv`, for readouts and evidence; the small" in card_of(bundle)
    assert "what the large one, taken as it is, learned from was not compared" in card_of(bundle)
    # Nor is it known to a run that goes on from there and holds the same texts out.
    again = train.run(taking(bundle, tmp_path / "again", **named))
    assert NONE_TRAINED_ON not in card_of(again)


def test_texts_that_the_large_tiers_own_run_held_out_are_known_to_be_new_to_it(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    first = train.run(taking(tiny_bundle, tmp_path / "first"))
    held_out = tmp_path / "held-out.tsv"
    data = prepare(taking(tiny_bundle, tmp_path / "out")).parts.held_out
    rows = (f"{n}\t{t.text}" for n, t in zip(data.labels.tolist(), data.texts, strict=True))
    held_out.write_text("\n".join(["label\ttext", *rows]) + "\n")
    named = {"validation": held_out, "hold_out": None}
    for source, changes in ((tiny_bundle, named), (first, named), (first, {})):
        bundle = train.run(taking(source, tmp_path / "out", **changes))
        assert NONE_TRAINED_ON in card_of(bundle)
        shutil.rmtree(bundle)


def test_other_labels_are_refused(tiny_bundle: Path, tmp_path: Path, unseen: Path) -> None:
    named = {"validation": unseen, "hold_out": None}
    for changes in (named, {}):
        settings = taking(tiny_bundle, tmp_path / "out", rename={}, **changes)
        with pytest.raises(FinishedError, match=r"negative.*the data has.*--rename"):
            prepare(settings)


def test_pairs_are_not_taken_for_single_texts_nor_single_texts_for_pairs(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    pairs = tmp_path / "pairs.tsv"
    rows = (f"{n % 2}\tthing number {n}\tof {n} things" for n in range(600))
    pairs.write_text("\n".join(["label\ttext_a\ttext_b", *rows]) + "\n")
    with pytest.raises(FinishedError, match=r"for single texts, .* pairs of texts.*--text-column"):
        prepare(taking(tiny_bundle, tmp_path / "out", data=pairs))
    paired = shutil.copytree(tiny_bundle, tmp_path / "paired")
    write_manifest(paired, replace(read_manifest(paired), pairs=True))
    with pytest.raises(FinishedError, match=r"for pairs of texts, .* single texts.*--pair-column"):
        prepare(taking(paired, tmp_path / "out"))


def test_a_folder_that_holds_no_bundle_is_said_first(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no bundle at .*nowhere"):
        prepare(taking(tmp_path / "nowhere", tmp_path / "out", data=tmp_path / "no-data.tsv"))


@pytest.mark.parametrize(
    ("record", "said"), [('{"data": ', "cannot be read"), ('{"data": "d.tsv"}', "lacks 'backbone'")]
)
def test_a_bundle_whose_record_is_damaged_is_said_first(
    tiny_bundle: Path, tmp_path: Path, unseen: Path, record: str, said: str
) -> None:
    damaged = shutil.copytree(tiny_bundle, tmp_path / "damaged")
    (damaged / "training.json").write_text(record)
    settings = taking(damaged, tmp_path / "out", validation=unseen, hold_out=None)
    with pytest.raises(BundleError, match=rf"training\.json {said}.*restore the bundle"):
        prepare(settings)


def test_texts_are_cut_where_both_tiers_can_take_them(
    tiny_bundle: Path, tmp_path: Path, shorter: Path
) -> None:
    small = SmallSettings(classifier=str(shorter))
    assert read_manifest(tiny_bundle).tiers[-1].max_tokens == 48
    settings = taking(tiny_bundle, tmp_path / "out", small=small)
    assert prepare(settings).settings.max_tokens == 32


def test_a_finished_tier_answers_on_the_device_that_is_asked_for(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(taking(tiny_bundle, tmp_path / "out"))
    # Stands for a GPU, which few machines that test have.
    monkeypatch.setattr(large, "resolve", lambda name: torch.device("meta"))
    network, _ = large.train(prepared.parts.fit, prepared.settings)
    assert {weights.device.type for weights in network.parameters()} == {"meta"}
    assert not network.training


def test_a_finished_tier_is_not_trained(tiny_bundle: Path, tmp_path: Path) -> None:
    settings = taking(tiny_bundle, tmp_path / "out")
    both = replace(settings, large=LargeSettings(bundle=tiny_bundle, epochs=2))
    with pytest.raises(FinishedError, match="taken as it is; leave out"):
        prepare(both)
