"""Calibrating a bundle anew: evidence by the serving backend, in every precision asked for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from offramp.bundle import DEFAULT_PRECISION, read_evidence, read_manifest, verify_tier
from offramp.decision.confidence import Measure
from offramp.errors import BundleError, OfframpError
from services.backends.tokenizing import TextEncoder
from services.backends.torch_backend import TorchBackend
from services.models.loading import load_tier
from tests.support import tiny
from training import calibrate, recalibrate
from training.data import Columns, read_labelled
from training.evaluate import EvaluateSettings
from training.evaluate import run as evaluate
from training.recalibrate import RecalibrateSettings

IN_BF16 = {"small": "bf16", "large": "bf16"}


def settings(bundle: Path, data: Path = tiny.REVIEWS, *precisions: str) -> RecalibrateSettings:
    return RecalibrateSettings(bundle, data, Columns(), precisions)


@pytest.fixture(scope="module")
def in_bf16(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle with evidence in bf16 besides."""
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("bf16") / "reviews"))
    recalibrate.run(settings(bundle, tiny.REVIEWS, "bf16"))
    return bundle


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


def content(bundle: Path) -> dict[str, bytes]:
    return {str(p.relative_to(bundle)): p.read_bytes() for p in bundle.rglob("*") if p.is_file()}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_evidence_is_what_the_serving_backend_says_of_each_text_alone(
    tiny_bundle: Path, precision: str
) -> None:
    model = load_tier(tiny_bundle, "large")
    data = read_labelled(tiny.REVIEWS, rename=tiny.RENAME).subset(range(60))
    logits, tokens = calibrate.cascade_logits([model], data, precision)
    encoder = TextEncoder.of(model.tokenizer, model.spec.max_tokens)
    backend = TorchBackend(model.network, encoder, precision=precision)
    backend.prepare()
    for row in (0, 17, 59):
        encoded = backend.encode([(data.texts[row].text, None)])
        states = backend.begin(encoded)
        for stage in range(backend.stages):
            states, found = backend.run_stage(stage, states)
            tolerance = 1e-4 if precision == "fp32" else 0.15
            assert logits[stage, row] == pytest.approx(found[0], abs=tolerance)
        assert tokens[row] == encoded[0].tokens


def test_both_precisions_have_evidence_of_the_same_texts(in_bf16: Path, tiny_bundle: Path) -> None:
    manifest = read_manifest(in_bf16)
    assert manifest.id != read_manifest(tiny_bundle).id
    assert [list(tier.readouts) for tier in manifest.tiers] == [["fp32", "bf16"]] * 2
    plain, rounded = read_evidence(in_bf16, manifest), read_evidence(in_bf16, manifest, IN_BF16)
    assert np.array_equal(plain.certifies, rounded.certifies)
    difference = np.abs(plain.logits - rounded.logits).max()
    assert 1e-3 < difference < 0.5
    assert (plain.answers() == rounded.answers()).mean() > 0.97
    mixed = read_evidence(in_bf16, manifest, {"large": "bf16"})
    assert np.array_equal(mixed.logits[0], plain.logits[0])
    assert np.array_equal(mixed.logits[1:], rounded.logits[1:])
    assert mixed.readouts == (*plain.readouts[:1], *rounded.readouts[1:])


def test_the_models_stay_as_they_are_and_the_card_tells(in_bf16: Path, tiny_bundle: Path) -> None:
    manifest = read_manifest(in_bf16)
    for tier in manifest.tiers:
        verify_tier(in_bf16, manifest, tier.name)
    assert manifest.files == read_manifest(tiny_bundle).files
    card = (in_bf16 / "README.md").read_text()
    assert manifest.id in card
    assert "texts of `reviews.tsv`, which replace those held out" in card
    made, before = (
        json.loads((bundle / "training.json").read_text()) for bundle in (in_bf16, tiny_bundle)
    )
    assert made["held_out_texts"] == before["held_out_texts"] != made["calibrated_texts"]
    assert "Figures on evidence in bf16" in card
    assert set(json.loads((in_bf16 / "metrics.json").read_text())) == {
        "evidence",
        "evidence in bf16",
    }


def test_half_of_the_evidence_certifies_and_scores_are_there(in_bf16: Path) -> None:
    evidence = read_evidence(in_bf16, read_manifest(in_bf16))
    texts = len(evidence.labels)
    assert abs(len(evidence.certifying.labels) - texts / 2) <= 1
    learned = evidence.confidences(Measure.LEARNED)
    assert ((learned > 0) & (learned < 1)).all()


def test_taken_anew_every_precision_is_taken_anew(in_bf16: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(in_bf16, tmp_path / "again"))
    lines = tiny.REVIEWS.read_text().splitlines()
    fewer = tmp_path / "fewer.tsv"
    fewer.write_text("\n".join(lines[:301]) + "\n")
    manifest = recalibrate.run(settings(bundle, fewer))
    assert list(manifest.tiers[1].readouts) == ["fp32", "bf16"]
    plain, rounded = read_evidence(bundle, manifest), read_evidence(bundle, manifest, IN_BF16)
    assert len(plain.labels) == len(rounded.labels) < 200


def test_the_same_texts_and_seed_give_the_same_bundle(bundle: Path, in_bf16: Path) -> None:
    again = recalibrate.run(settings(bundle, tiny.REVIEWS, "bf16"))
    assert again.id == read_manifest(in_bf16).id


@pytest.mark.parametrize("lines", [100, 1])
def test_what_cannot_be_calibrated_on_changes_nothing(
    bundle: Path, tmp_path: Path, lines: int
) -> None:
    data = tmp_path / "few.tsv"
    data.write_text("\n".join(tiny.REVIEWS.read_text().splitlines()[:lines]) + "\n")
    before = content(bundle)
    with pytest.raises(OfframpError):
        recalibrate.run(settings(bundle, data, "bf16"))
    assert content(bundle) == before


def test_a_precision_without_evidence_names_the_remedy(tiny_bundle: Path) -> None:
    manifest = read_manifest(tiny_bundle)
    assert list(manifest.tiers[0].readouts) == [DEFAULT_PRECISION]
    with pytest.raises(BundleError, match=r"`offramp calibrate BUNDLE DATA --precision bf16`"):
        read_evidence(tiny_bundle, manifest, IN_BF16)


def test_figures_can_be_taken_in_the_other_precision(in_bf16: Path) -> None:
    columns = Columns()
    found = {
        precision: evaluate(
            EvaluateSettings(in_bf16, tiny.REVIEWS, columns, precision=precision)
        ).as_dict()
        for precision in ("fp32", "bf16")
    }
    assert found["fp32"] != found["bf16"]
    accuracies = [figures["full_accuracy"] for figures in found.values()]
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.02)
