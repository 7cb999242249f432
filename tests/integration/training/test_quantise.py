"""A bundle in int8: quantised once, with evidence from what serves it, and served like that."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from offramp.bundle import read_evidence, read_manifest, verify_tier
from offramp.errors import BundleError
from services.backends.opening import backend_of
from services.models.files import EXPORTED
from services.models.loading import load_tier
from tests.support import tiny
from training import calibrate, quantise, recalibrate
from training.data import Columns, read_labelled
from training.openvino_export import export_int8
from training.quantise import QuantisationError
from training.recalibrate import RecalibrateSettings

IN_INT8 = {"small": "int8", "large": "int8"}
pytestmark = pytest.mark.timeout(300)


def settings(bundle: Path, *precisions: str) -> RecalibrateSettings:
    return RecalibrateSettings(bundle, tiny.REVIEWS, Columns(), precisions)


@pytest.fixture(scope="module")
def in_int8(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle with an int8 form of both tiers."""
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("int8") / "reviews"))
    recalibrate.run(settings(bundle, "int8"))
    return bundle


def test_both_tiers_are_quantised_and_their_files_belong_to_the_bundle(in_int8: Path) -> None:
    manifest = read_manifest(in_int8)
    assert [list(tier.readouts) for tier in manifest.tiers] == [["fp32", "int8"]] * 2
    for tier in manifest.tiers:
        verify_tier(in_int8, manifest, tier.name)
        assert f"{tier.name}/{EXPORTED['int8']}/stage0.xml" in manifest.files
    assert "Figures on evidence in int8" in (in_int8 / "README.md").read_text()


def test_a_stage_that_differs_is_refused(in_int8: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(in_int8, tmp_path / "broken"))
    stage = bundle / "large" / EXPORTED["int8"] / "stage0.bin"
    stage.write_bytes(stage.read_bytes()[:-1])
    with pytest.raises(BundleError, match=r"stage0\.bin is not the file"):
        load_tier(bundle, "large")


def test_a_tier_that_loses_too_much_is_quantised_again_with_smoothquant(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "reviews"))
    made, failures = [], [QuantisationError("large", "in int8 exit large@1 loses 9 points")]

    def exported(network, encoder, folder, *rest, **options):
        made.append((folder.parent.name, options["smooth"]))
        export_int8(network, encoder, folder, *rest, **options)

    def checked(*evidence):
        if failures:
            raise failures.pop()

    monkeypatch.setattr(quantise, "export_int8", exported)
    monkeypatch.setattr(quantise, "check", checked)
    recalibrate.run(settings(bundle, "int8"))
    assert made == [("small", False), ("large", False), ("large", True)]
    manifest = read_manifest(bundle)
    verify_tier(bundle, manifest, "large")
    assert "int8" in manifest.tier("large").readouts


def test_int8_answers_nearly_always_as_fp32_does(in_int8: Path) -> None:
    manifest = read_manifest(in_int8)
    exact, rounded = read_evidence(in_int8, manifest), read_evidence(in_int8, manifest, IN_INT8)
    assert not np.allclose(exact.logits, rounded.logits, atol=1e-4)
    assert (exact.answers() == rounded.answers()).mean() > 0.95


def test_evidence_is_what_the_serving_backend_says_of_each_text_alone(in_int8: Path) -> None:
    model = load_tier(in_int8, "large")
    data = read_labelled(tiny.REVIEWS, rename=tiny.RENAME).subset(range(40))
    logits, _ = calibrate.cascade_logits([model], data, "int8")
    backend = backend_of(model, "int8")
    backend.prepare()
    for row, text in enumerate(data.texts):
        states = backend.begin(backend.encode([(text.text, None)]))
        for stage in range(backend.stages):
            states, found = backend.run_stage(stage, states)
            assert np.array_equal(logits[stage, row], found[0])


def test_what_loses_too_much_is_not_kept(in_int8: Path, tmp_path: Path, monkeypatch) -> None:
    bundle = Path(shutil.copytree(in_int8, tmp_path / "reviews"))
    before = {p: p.read_bytes() for p in bundle.rglob("*") if p.is_file()}
    monkeypatch.setattr(quantise, "LARGEST_LOSS", -1.0)
    with pytest.raises(QuantisationError, match=r"points of accuracy .* nothing was changed"):
        recalibrate.run(settings(bundle, "int8"))
    assert {p: p.read_bytes() for p in bundle.rglob("*") if p.is_file()} == before


def test_quantised_once_a_bundle_keeps_its_stages(in_int8: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(in_int8, tmp_path / "again"))
    stage = bundle / "small" / EXPORTED["int8"] / "stage0.bin"
    before = stage.stat().st_mtime_ns
    manifest = recalibrate.run(settings(bundle))
    assert list(manifest.tiers[0].readouts) == ["fp32", "int8"]
    assert stage.stat().st_mtime_ns == before
    assert "evidence in int8" in json.loads((bundle / "metrics.json").read_text())


def test_stages_that_the_bundle_does_not_list_are_made_anew(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "reviews"))
    (bundle / "small" / EXPORTED["int8"]).mkdir()  # as a run leaves it that was killed while moving
    data = read_labelled(tiny.REVIEWS, rename=tiny.RENAME).subset(range(40))
    found = quantise.quantised(load_tier(bundle, "small"), data, tmp_path / "made")
    assert (tmp_path / "made" / "small" / EXPORTED["int8"] / "stage0.xml").is_file()
    assert found.quantised.is_relative_to(tmp_path / "made")
