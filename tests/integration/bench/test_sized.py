"""A cascade of another size, made for timing, is a bundle like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.floor import sized
from bench.load.texts import labelled_texts
from offramp.bundle import read_evidence, read_manifest, verify_tier
from offramp.decision.confidence import Measure
from offramp.decision.simulate import simulate
from services.backends import opening
from services.backends.opening import Wish, open_tier
from services.models.files import EXPORTED
from tests.support import tiers

REVIEWS = Path("tests/data/reviews.tsv")
SMALLEST: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 6,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}


def test_a_bundle_of_pairs_is_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    bundle = tiers.make_bundle(tmp_path / "pairs", pairs=True)
    (tmp_path / "made").mkdir()
    with pytest.raises(sized.SizeError, match="single texts"):
        sized.make("bert-base", bundle, ["a"], tmp_path / "made", seed=0)
    assert (tmp_path / "made").is_dir()


def test_texts_leave_where_those_of_the_real_bundle_do(
    exported_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sized, "SIZES", {"smallest": ("roberta", SMALLEST)})
    texts = labelled_texts(REVIEWS, exported_bundle, seed=0)[0][:300]
    made = sized.make("smallest", exported_bundle, texts, tmp_path / "made", seed=0)
    manifest = read_manifest(made.bundle)
    for spec in manifest.tiers:
        open_tier(made.bundle, spec.name, Wish("fp32", "openvino", threads=1)).backend.prepare()
    evidence = read_evidence(made.bundle, manifest)
    forecast = simulate(evidence, list(made.thresholds.values()), Measure.MAX_PROB)
    assert forecast.exit_shares == pytest.approx(made.shares, abs=1 / len(texts))


def test_tiers_have_evidence_in_what_they_serve_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sized, "SIZES", {"smallest": ("roberta", SMALLEST)})
    source = Path("bundles/sentiment")
    assert "int8" in read_manifest(source).tier("small").readouts
    monkeypatch.setattr(opening, "FASTER", 0.0)  # however little faster int8 is
    made = sized.make("smallest", source, ["a gorgeous film", "dull"] * 20, tmp_path / "m", seed=0)
    manifest = read_manifest(made.bundle)
    assert [list(spec.readouts) for spec in manifest.tiers] == [["fp32", "int8"], ["fp32"]]
    assert not [name for name in manifest.files if name.startswith(f"large/{EXPORTED['int8']}/")]
    for small in ("fp32", "int8"):
        backend = open_tier(made.bundle, "small", Wish(small, threads=1)).backend
        assert backend.precision == small
        read_evidence(made.bundle, manifest, {"small": small})


def test_where_the_small_tier_serves_in_fp32_nothing_else_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sized, "SIZES", {"smallest": ("roberta", SMALLEST)})
    monkeypatch.setattr(opening, "FASTER", 1e6)
    source = Path("bundles/sentiment")
    made = sized.make("smallest", source, ["a gorgeous film", "dull"] * 20, tmp_path / "m", seed=0)
    manifest = read_manifest(made.bundle)
    assert [list(spec.readouts) for spec in manifest.tiers] == [["fp32"], ["fp32"]]
    for spec in manifest.tiers:
        verify_tier(made.bundle, manifest, spec.name)
