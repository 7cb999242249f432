"""Bundles: what is written is read back, and whatever is amiss is said with a remedy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offramp.bundle import (
    EVIDENCE,
    MANIFEST,
    read_evidence,
    read_manifest,
    verify_tier,
    write_evidence,
)
from offramp.errors import BundleError


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


def edit_manifest(bundle: Path, change: Callable[[dict], object]) -> None:
    content = json.loads((bundle / MANIFEST).read_text())
    change(content)
    (bundle / MANIFEST).write_text(json.dumps(content))


def test_a_sound_bundle_passes(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    for tier in manifest.tiers:
        verify_tier(bundle, manifest, tier.name)
    evidence = read_evidence(bundle, manifest)
    assert evidence.exit_names == ("small", "large@1", "large@2", "large@3")
    assert manifest.labels == ("negative", "positive")


def test_evidence_survives_writing_and_reading(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    before = read_evidence(bundle, manifest)
    write_evidence(bundle, manifest, {"fp32": before})
    after = read_evidence(bundle, manifest)
    assert (np.array_equal(before.logits, after.logits), after.exits) == (True, before.exits)


def test_evidence_is_readable_as_all_files_are(bundle: Path, tmp_path: Path) -> None:
    """Containers serve a bundle as another user than the one that took its evidence."""
    manifest = read_manifest(bundle)
    write_evidence(tmp_path, manifest, {"fp32": read_evidence(bundle, manifest)})
    (tmp_path / "other").write_bytes(b"")
    assert (tmp_path / EVIDENCE).stat().st_mode == (tmp_path / "other").stat().st_mode


def test_evidence_in_any_memory_order_is_written_right(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    before = read_evidence(bundle, manifest)
    rows = np.arange(len(before.labels))[::-1]
    picked = np.asfortranarray(before.logits)[:, rows]
    reversed_labels = replace(before, logits=picked, labels=before.labels[::-1])
    write_evidence(bundle, manifest, {"fp32": reversed_labels})
    after = read_evidence(bundle, manifest)
    assert np.array_equal(after.logits, picked)
    assert np.array_equal(after.labels, before.labels[::-1])


def test_a_missing_bundle_is_told_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest.json is missing; make one with `offramp tra"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format=99), "has format 99"),
        (lambda m: m.pop("labels"), "is incomplete"),
        (lambda m: m.update(id="0" * 16), "was edited"),
        (lambda m: m["tiers"][0]["readouts"]["fp32"][0].update(mix=[9.0]), "was edited"),
    ],
)
def test_an_edited_manifest_is_refused(
    bundle: Path, change: Callable[[dict], object], message: str
) -> None:
    edit_manifest(bundle, change)
    with pytest.raises(BundleError, match=message):
        read_manifest(bundle)


def test_a_manifest_that_is_no_json_is_refused(bundle: Path) -> None:
    (bundle / MANIFEST).write_text("{")
    with pytest.raises(BundleError, match="cannot be read"):
        read_manifest(bundle)


def test_changed_or_missing_weights_are_named(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    weights = bundle / "large" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes() + b"x")
    with pytest.raises(BundleError, match=r"large/weights.safetensors is not the file"):
        verify_tier(bundle, manifest, "large")
    weights.unlink()
    with pytest.raises(BundleError, match=r"large/weights.safetensors is missing"):
        verify_tier(bundle, manifest, "large")


def test_evidence_of_another_bundle_is_refused(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    evidence = {"fp32": read_evidence(bundle, manifest)}
    write_evidence(bundle, replace(manifest, id="another"), evidence)
    with pytest.raises(BundleError, match="is evidence of bundle another, but the models here"):
        read_evidence(bundle, manifest)


def test_broken_or_missing_evidence_is_refused(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    (bundle / EVIDENCE).write_bytes(b"nothing")
    with pytest.raises(BundleError, match="cannot be read"):
        read_evidence(bundle, manifest)
    (bundle / EVIDENCE).unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        read_evidence(bundle, manifest)


def test_tiers_tokenise_alike_where_their_tokenizers_and_lengths_are_the_same(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    assert manifest.tokenizes_once
    for name in ("tokenizer.json", "tokenizer_config.json"):
        files = {**manifest.files, f"large/{name}": "0" * 64}
        assert not replace(manifest, files=files).tokenizes_once
    without = {name: h for name, h in manifest.files.items() if "tokenizer" not in name}
    assert not replace(manifest, files=without).tokenizes_once
    small, large = manifest.tiers
    shorter = replace(large, max_tokens=large.max_tokens - 1)
    assert not replace(manifest, tiers=(small, shorter)).tokenizes_once


def test_an_unknown_tier_names_the_known_ones(bundle: Path) -> None:
    with pytest.raises(BundleError, match="has no tier 'huge'; it has: small, large"):
        read_manifest(bundle).tier("huge")
