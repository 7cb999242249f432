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


def test_no_tier_is_said_to_have_evidence_that_was_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sized, "SIZES", {"smallest": ("roberta", SMALLEST)})
    source = Path("bundles/sentiment")
    assert "int8" in read_manifest(source).tier("small").readouts
    made = sized.make("smallest", source, ["a gorgeous film", "dull"] * 20, tmp_path / "m", seed=0)
    manifest = read_manifest(made.bundle)
    assert [list(spec.readouts) for spec in manifest.tiers] == [["fp32"], ["fp32"]]
    for spec in manifest.tiers:
        verify_tier(made.bundle, manifest, spec.name)
    assert not [name for name in manifest.files if EXPORTED["int8"] + "/" in name]
