"""The model card says what is known of a bundle's making, and no more."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from offramp.bundle import read_manifest
from training import card, provenance

NONE = "no held-out text, and no fragment of one, was trained on"
UNKNOWN = "taken as it is, learned from was not compared with them"


@pytest.fixture
def written(tiny_bundle: Path, tmp_path: Path):
    """The card, on one line, of the tiny bundle where its tiers had been taken."""

    def of(classifier: str | None, held_out_id: str | None) -> str:
        bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
        record = provenance.read(bundle)
        assert record["small"]["classifier"] is None, "else this test would set what nobody reads"
        taken = {"name": "other", "id": "0", "made": "2026-01-01", "held_out_id": held_out_id}
        provenance.note(
            bundle,
            small={**record["small"], "classifier": classifier},
            large_tier=None if held_out_id is None else taken,
            held_out_id="these",
        )
        card.render(bundle, read_manifest(bundle))
        return " ".join((bundle / card.CARD).read_text().split())

    return of


@pytest.mark.parametrize("large", [None, "these"])
def test_of_tiers_that_were_trained_here_or_never_saw_these_texts_that_is_said(
    written, large: str | None
) -> None:
    text = written(None, large)
    assert NONE in text
    assert "not compared" not in text


@pytest.mark.parametrize("large", [None, "these"])
def test_what_a_classifier_taken_as_small_tier_learned_from_is_not_claimed_to_be_known(
    written, large: str | None
) -> None:
    text = written("org/classifier", large)
    assert NONE not in text
    assert "evidence; the large tier learned from none of them, nor from a fragment of one" in text
    assert f"what the small one, {UNKNOWN}" in text


def test_of_a_taken_large_tier_it_is_not_either(written) -> None:
    text = written(None, "others")
    assert "evidence; the small tier learned from none of them, nor from a fragment of one" in text
    assert f"what the large one, {UNKNOWN}" in text


def test_where_both_tiers_were_taken_nothing_is_claimed(written) -> None:
    text = written("org/classifier", "others")
    assert "learned from none" not in text
    assert "what both tiers, taken as they are, learned from was not compared with them" in text


def test_a_classifier_is_named_with_the_terms_that_come_with_it(written) -> None:
    text = written("org/classifier", None)
    assert "- small tier: the classifier `org/classifier`, as it is" in text
    assert "those of the small one from `org/classifier`; the terms of all of them apply" in text
